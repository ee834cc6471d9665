//! Known programs, and those that no kernel takes. Random ones are compared with the kernel's answers in tests/kernel.

use super::*;

const LD_NUMBER: [u32; 3] = [0x20, 0, 0];
const ALLOW: [u32; 3] = [0x06, 0, 0x7fff_0000];

/// Instructions of a code, the two jumps in one number, and a value.
fn bytes(code: &[[u32; 3]]) -> Vec<u8> {
    let one = |&[code, jumps, k]: &[u32; 3]| {
        let [jf, jt] = (jumps as u16).to_le_bytes();
        [&(code as u16).to_ne_bytes()[..], &[jt, jf], &k.to_ne_bytes()].concat()
    };
    code.iter().flat_map(one).collect()
}

fn program(code: &[[u32; 3]]) -> Program {
    Program::parse(&bytes(code)).unwrap()
}

fn asked(number: u32, first: u64) -> Call {
    Call::new(Abi::X86_64, number, [first, 0, 0, 0, 0, 0])
}

/// An errno for one number.
fn denies(number: u32, answer: u32) -> Program {
    program(&[LD_NUMBER, [0x15, 0x0001, number], [0x06, 0, answer], ALLOW])
}

#[test]
fn a_number_is_denied_and_others_are_let_in() {
    let filter = denies(246, 0x0005_0001);
    assert_eq!(Action::of(filter.run(&asked(246, 0))), Action::Errno(1));
    assert_eq!(Action::of(filter.run(&asked(247, 0))), Action::Allow);
    assert_eq!(filter.len(), 4);
    assert_eq!(Program::parse(&filter.to_bytes()), Ok(filter));
}

#[test]
fn the_architecture_and_both_halves_of_an_argument_are_seen() {
    let arch = program(&[[0x20, 0, 4], [0x16, 0, 0]]);
    for (abi, expected) in [
        (Abi::X86_64, 0xc000_003e),
        (Abi::X32, 0xc000_003e),
        (Abi::I386, 0x4000_0003),
        (Abi::Aarch64, 0xc000_00b7),
        (Abi::Arm, 0x4000_0028),
    ] {
        assert_eq!(arch.run(&Call::new(abi, 0, [0; 6])), expected, "{abi}");
    }
    let number = program(&[LD_NUMBER, [0x16, 0, 0]]);
    assert_eq!(number.run(&Call::new(Abi::X32, 39, [0; 6])), 0x4000_0027);
    let call = Call::new(Abi::X86_64, 0, [0x1111_1111_2222_2222, 0, 0, 0, 0, 0x3333_3333_4444_4444]);
    let word = |offset| program(&[[0x20, 0, offset], [0x16, 0, 0]]).run(&call);
    assert_eq!([16, 20, 56, 60].map(word), [0x2222_2222, 0x1111_1111, 0x4444_4444, 0x3333_3333]);
}

#[test]
fn arithmetic_and_memory_are_the_machines() {
    // (17 − 5) × 3 << 2, kept, negated, and taken away from itself by the index register.
    let code = [
        [0x00, 0, 17],
        [0x14, 0, 5],
        [0x24, 0, 3],
        [0x64, 0, 2],
        [0x02, 0, 7],
        [0x61, 0, 7],
        [0x84, 0, 0],
        [0x0c, 0, 0],
        [0x44, 0, 0x90],
        [0x16, 0, 0],
    ];
    assert_eq!(program(&code).run(&asked(0, 0)), 0x90);
    // Division by nothing ends it with 0.
    assert_eq!(program(&[[0x00, 0, 9], [0x3c, 0, 0], [0x06, 0, 7]]).run(&asked(0, 0)), 0);
    assert_eq!(program(&[[0x80, 0, 0], [0x34, 0, 3], [0x16, 0, 0]]).run(&asked(0, 0)), 21);
}

#[test]
fn of_several_filters_the_strictest_answers_and_of_equals_the_last() {
    let of = |programs: &[Program]| strictest(programs, &asked(1, 0));
    let [one, two, notify, kill, allow] =
        [0x0005_0001, 0x0005_0002, 0x7fc0_0000, 0x8000_0000, 0x7fff_0000].map(|answer| denies(1, answer));
    assert_eq!(of(&[]), Action::Allow);
    assert_eq!(of(&[two.clone(), one.clone()]), Action::Errno(2));
    assert_eq!(of(&[notify.clone(), one.clone()]), Action::Errno(1));
    assert_eq!(of(&[allow, notify.clone()]), Action::Notify);
    assert_eq!(of(&[one, kill, notify]), Action::KillProcess);
}

#[test]
fn who_answers_is_told_by_what_each_does() {
    let answers = [0x7fff_0000, 0x7ffc_0000, 0x7ff0_0000, 0x7fc0_0000, 0x0005_0001, 0x8000_0000];
    let [allow, log, trace, notify, errno, kill] = answers.map(|answer| denies(1, answer));
    let of = |own: &Program, container: &Program| Verdict::of(&[own], &[container], &asked(1, 0));
    for (own, container, expected) in [
        (&allow, &allow, Verdict::LetIn),
        (&log, &allow, Verdict::LetIn),
        (&errno, &log, Verdict::OwnDenied),
        (&notify, &allow, Verdict::Supervised),
        (&trace, &log, Verdict::Supervised),
        (&notify, &errno, Verdict::Denied(Action::Errno(1))),
        (&kill, &errno, Verdict::Denied(Action::Errno(1))),
        (&allow, &notify, Verdict::Notified),
        (&errno, &notify, Verdict::OwnDenied),
        (&allow, &trace, Verdict::Denied(Action::Trace)),
    ] {
        assert_eq!(of(own, container), expected);
    }
    assert_eq!(Verdict::of(&[], &[&kill], &asked(2, 0)), Verdict::LetIn);
}

#[test]
fn actions_are_the_kernels() {
    let order =
        [0x8000_0000, 0, 0x0003_0000, 0x0005_0000, 0x7fc0_0000, 0x7ff0_0000, 0x7ffc_0000, 0x7fff_0000_u32];
    assert!(order.map(Action::of).is_sorted());
    assert_eq!(Action::of(0x0005_ffff), Action::Errno(4095));
    // Unknown ones kill.
    assert_eq!(Action::of(0x1234_0000), Action::KillProcess);
}

#[test]
fn what_no_kernel_takes_is_refused() {
    let refused: &[&[[u32; 3]]] = &[
        &[],
        &[LD_NUMBER],
        // A jump behind the end, and one whose sum would overflow.
        &[[0x15, 0x0003, 0], ALLOW, ALLOW],
        &[[0x05, 0, u32::MAX], ALLOW],
        // What is asked has 64 bytes, words, and memory 16.
        &[[0x20, 0, 64], ALLOW],
        &[[0x20, 0, 2], ALLOW],
        &[[0x60, 0, 16], ALLOW],
        &[[0x34, 0, 0], ALLOW],
        &[[0x64, 0, 32], ALLOW],
        // Packets, and no instruction.
        &[[0x28, 0, 0], ALLOW],
        &[[0xffff, 0, 0], ALLOW],
    ];
    for code in refused {
        assert!(Program::parse(&bytes(code)).is_err(), "{code:?}");
    }
    assert!(Program::parse(&bytes(&[ALLOW])[..7]).is_err());
    assert!(Program::parse(&bytes(&vec![ALLOW; 4097])).is_err());
    assert!(Program::parse(&bytes(&vec![ALLOW; 4096])).is_ok());
}

#[test]
fn kinds_are_told_by_what_filters_do() {
    let abis = Abi::of_machine("x86_64").unwrap();
    let allow = program(&[ALLOW]);
    assert_eq!(Kind::of(&[], abis), Kind::None);
    assert_eq!(Kind::of(&[&allow], abis), Kind::Tracing);
    assert_eq!(Kind::of(&[&denies(246, 0x0005_0001), &allow], abis), Kind::Other);
}

proptest::proptest! {
    /// Whatever the bytes are, they are refused or it ends.
    #[test]
    fn nonsense_ends(bytes: Vec<u8>, number: u32, arguments: [u64; 6]) {
        if let Ok(program) = Program::parse(&bytes) {
            let _ = program.run(&Call::new(Abi::X86_64, number, arguments));
        }
    }
}
