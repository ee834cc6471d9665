//! The witness itself: one that overlooks something proves nothing.

use super::calls::{Abi, Calls};
use super::compare::{Comparison, Difference, Exception, Kind};
use super::log::{self, From, Seen};
use super::results::{ProgramResult, Results};
use super::stressors;

/// Each kind of line that strace writes.
const LOG: &str = r#"
101   [  59] execve(0x7f, 0x7f, 0x7f) = 0
101   [  21] access(0x1, 0) = -1 ENOENT (No such file or directory)
101   [  59] execve(0x7f, 0x7f, 0x7f) = -1 ENOENT (No such file or directory)
101   [  56] clone(0x7f) = 0x66
102   [  59] execve(0x7f, 0x7f, 0x7f) = 0
101   [  59] execve(0x7f, 0x7f, 0x7f <unfinished ...>
102   [  39] getpid() = 0x66
101   [  59] <... execve resumed>)              = 0
102   [ 202] futex(0x7f, 0x80, 0x1, 0 <unfinished ...>
103   [  17] pread64(0x3, 0x7f, 0x3, 0 <unfinished ...>
102   [ 202] <... futex resumed>)              = 0
103   [  17] <... pread64 resumed>) = 0x3
104   [ 219] <... restart_syscall resumed>)    = 0
104   [  34] pause() = ? ERESTARTNOHAND (To be restarted if no handler)
104   [ 496] syscall_0x1f0(0x1, 0x2) = -1 ENOSYS (Function not implemented)
104   [ ???] syscall_0xffffffffffffffff(0) = -1 ENOSYS (Function not implemented)
104   [ 156] _sysctl(0x1) = -1 ENOSYS (Function not implemented)
104   [ 156] [ Process PID=104 runs in 32 bit mode. ]
104   [  20] getpid() = 0x68
104   [ 600] syscall_0xffffffff80000000(0) = -1 ENOSYS (Function not implemented)
105   [ 199] getuid32() = 0
104   [ 199] [ Process PID=104 runs in x32 mode. ]
104   [1073741863] getpid()             = -1 ENOSYS (Function not implemented)
104   [  62] ???( <unfinished ...>
104   [  62] <... ??? resumed>)         = ?
104   [  62] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED(1)} ---
103   [   0] read(0x3, 0x7f, 0x1 <unfinished ...>
103   [   0] <... read resumed>)         = ?
103   [  17] pread64(0x3, 0x7f, 0x3, 0)         = ?
103   [18446744073709551594] syscall_0xffffffffffffffea(0x7f, 0x3 <unfinished ...>
103   [   0] +++ killed by SIGKILL (core dumped) +++
102   [ 231] exit_group(0)                     = ?
"#;

const fn call(abi: Abi, number: u32, name: Option<&'static str>) -> (Abi, u32, Option<&'static str>) {
    (abi, number, name)
}

fn calls(list: &[(Abi, u32, Option<&str>)]) -> Calls {
    list.iter().map(|(abi, number, name)| ((*abi, *number), name.map(str::to_owned))).collect()
}

#[test]
fn each_kind_of_line_is_read() {
    let read = log::read(LOG.trim_start(), From::SecondExec).unwrap();
    let expected = calls(&[
        call(Abi::X86_64, 17, Some("pread64")),
        call(Abi::X86_64, 34, Some("pause")),
        call(Abi::X86_64, 156, Some("_sysctl")),
        call(Abi::X86_64, 202, Some("futex")),
        call(Abi::X86_64, 219, Some("restart_syscall")),
        call(Abi::X86_64, 231, Some("exit_group")),
        call(Abi::X86_64, 496, None),
        call(Abi::X86_64, u32::MAX, None),
        call(Abi::I386, 20, Some("getpid")),
        call(Abi::I386, 199, Some("getuid32")),
        call(Abi::I386, 1 << 31, None),
        call(Abi::X32, 39, Some("getpid")),
    ]);
    assert_eq!(read.calls, expected);
    assert_eq!(read.undecided, calls(&[call(Abi::X86_64, 0, Some("read"))]));
    // From the first line on, the launcher's are there too.
    let all = log::read(LOG.trim_start(), From::Attach).unwrap();
    assert!(all.calls.len() == expected.len() + 4, "{:?}", all.calls);
}

#[test]
fn a_line_that_is_not_understood_is_an_error() {
    for line in
        ["read(0) = 0", "101 read(0) = 0", "101 [ 0] 100% = 0", "101 [ 0] read", "x [ 0] read(0) = 0", ""]
    {
        let log = format!(
            "101 [  59] execve(0) = 0\n101 [  59] execve(0) = 0\n{line}\n101 [ 231] exit_group(0) = ?"
        );
        assert!(log::read(&log, From::SecondExec).is_err(), "{line:?}");
    }
    let cut = log::read("101 [  59] execve(0) = 0\n101 [ 0] read(0) = 0", From::SecondExec);
    assert!(cut.unwrap_err().to_string().contains("ends before"));
}

#[test]
fn a_witness_that_is_mostly_unsure_is_none() {
    let unsure = |count: usize| {
        let lines = (0..count).map(|number| format!("101 [{number}] syscall_0x{number:x}(0) = ?\n"));
        format!("101 [  59] execve(0) = 0\n101 [  59] execve(0) = 0\n{}", lines.collect::<String>())
    };
    assert_eq!(log::read(&unsure(5), From::SecondExec).unwrap().undecided.len(), 5);
    assert!(log::read(&unsure(6), From::SecondExec).unwrap_err().to_string().contains("undecided"));
}

fn compared() -> Comparison {
    let recorded = calls(&[
        call(Abi::X86_64, 0, Some("read")),
        call(Abi::X86_64, 1, Some("wirte")),
        call(Abi::X86_64, 34, Some("pause")),
        call(Abi::X86_64, 500, None),
        call(Abi::X32, 2, Some("open")),
    ]);
    let straced = Seen {
        calls: calls(&[
            call(Abi::X86_64, 0, Some("read")),
            call(Abi::X86_64, 1, Some("write")),
            call(Abi::X86_64, 500, Some("newer")),
            call(Abi::I386, 0, None),
        ]),
        undecided: calls(&[call(Abi::X86_64, 34, Some("pause")), call(Abi::X86_64, 35, Some("nanosleep"))]),
    };
    Comparison::new(&recorded, &straced)
}

#[test]
fn every_difference_is_found() {
    let compared = compared();
    let texts: Vec<_> = compared.differences.iter().map(ToString::to_string).collect();
    let expected = [
        "only strace saw i386 0",
        "only the recording has x32 open",
        "strace has another name for x86_64 wirte",
    ];
    assert_eq!(texts, expected);
    assert!(compared.agreed[&Abi::X86_64].iter().eq(["500", "pause", "read"]));
    assert!(compared.undecided[&Abi::X86_64].iter().eq(["nanosleep"]));
    assert!(!compared.is_equal());
}

#[test]
fn an_exception_explains_its_own_difference_and_must_explain_one() {
    let exception = |subject: &str, kind| Exception {
        subjects: vec![subject.to_owned()],
        difference: Difference { kind, abi: Abi::X32, call: "open".to_owned() },
        why: "a test".to_owned(),
    };
    let program = ProgramResult {
        name: "it".to_owned(),
        kind: String::new(),
        does: String::new(),
        package: String::new(),
        version: String::new(),
        comparison: compared(),
    };
    let results = Results { versions: [].into(), programs: vec![program], stressors: vec![] };
    assert_eq!(results.faults(&[]).len(), 3);
    assert_eq!(results.faults(&[exception("it", Kind::OnlyRecording)]).len(), 2);
    for dead in [exception("it", Kind::OnlyStrace), exception("other", Kind::OnlyRecording)] {
        let faults = results.faults(&[dead]);
        assert!(faults.len() == 4 && faults[3].ends_with("explains nothing"), "{faults:?}");
    }
}

#[test]
fn what_stress_ng_says_is_found() {
    let said = "stress-ng: info:  [9] dispatching hogs: 1 cpu_online\n";
    assert_eq!(
        stressors::skipped("cpu-online", &format!("{said}stress-ng: info:  [9] successful run\n")),
        None
    );
    for (name, line, reason) in [
        ("cpu-online", "info:  [9] cpu_online stressor will be skipped, need root", "need root"),
        (
            "sctp",
            "info:  [9] sctp: SCTP protocol not supported, skipping stressor",
            "SCTP protocol not supported",
        ),
        ("ping-sock", "info:  [9] ping-sock: skipping stressor, permission denied", "permission denied"),
    ] {
        let said = format!("{said}stress-ng: {line}\nstress-ng: error: [9] No stress workers invoked\n");
        assert_eq!(stressors::skipped(name, &said).as_deref(), Some(reason));
    }
}
