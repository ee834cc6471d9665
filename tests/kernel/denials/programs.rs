//! The interpreter of filters' programs against the kernel: it loads them, and gives the same answers. And what of them is in a recording.

use super::{NEEDS, run_under};
use crate::{
    common::{TestEnv, bare, expect, with_libc},
    support::{self, Trial},
};
use anyhow::{Context as _, Result, ensure};
use seccomp_trace::{
    abi::Abi,
    filter::{Action, Call, Kind, Program},
};
use std::fmt::Write as _;

/// Programs that are tried.
const COUNT: u64 = 400;
/// The calls that each is asked about: getppid's arguments are nothing to it.
const ARGUMENTS: [[u64; 6]; 3] =
    [[0; 6], [1, 2, 3, 4, 5, 6], [u64::MAX, 1 << 63, 0xdead_beef_0000_0001, 7 << 32, 0x8000_0000, 31]];

pub fn tests() -> Vec<Trial> {
    vec![
        support::test("programs_of_filters_answer_as_the_kernel_does", NEEDS, compared),
        support::test("the_filter_that_it_ran_under_is_in_the_recording", NEEDS, recorded),
    ]
}

/// Small numbers at random, the same ones each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Instructions as (code, jt, jf, k): some calculation with what is asked, then eight bits of the result as an errno.
fn random(dice: &mut Dice) -> Vec<(u16, u8, u8, u32)> {
    let length = 4 + dice.below(24) as usize;
    let values = [0, 1, 5, 31, 32, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0x4000_0000, 12345];
    let getppid = Abi::HOST[0].number("getppid").unwrap_or_default();
    // Of one call alone: the program is to end.
    let mut code = vec![(0x20, 0, 0, 0), (0x15, 1, 0, getppid), (0x06, 0, 0, 0x7fff_0000)];
    // What is read must have been written.
    code.extend((0..4).map(|word| (0x02, 0, 0, word)));
    for at in 0..length {
        let left = (length - at) as u64;
        let value = dice.pick(&values);
        let jump = |dice: &mut Dice| dice.below(left) as u8;
        code.push(match dice.below(12) {
            0 | 1 => (0x20, 0, 0, 16 + 4 * dice.below(12) as u32),
            2 => (0x20, 0, 0, dice.pick(&[0, 4])),
            3 => (dice.pick(&[0x00, 0x01]), 0, 0, value),
            4 => (dice.pick(&[0x60, 0x61, 0x02, 0x03]), 0, 0, dice.below(4) as u32),
            5 => (dice.pick(&[0x07, 0x87, 0x80, 0x81, 0x84]), 0, 0, 0),
            6 | 7 => (dice.pick(&[0x04, 0x14, 0x24, 0x44, 0x54, 0xa4]), 0, 0, value),
            8 => (dice.pick(&[0x64, 0x74]), 0, 0, dice.below(32) as u32),
            9 => (dice.pick(&[0x0c, 0x1c, 0x2c, 0x4c, 0x5c, 0x6c, 0x7c, 0xac, 0x3c]), 0, 0, 0),
            10 => {
                (dice.pick(&[0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d]), jump(dice), jump(dice), value)
            }
            _ => (0x34, 0, 0, value.max(1)),
        });
    }
    // Some byte of it, not 0: 0 would be a success.
    let shift = 8 * dice.below(4) as u32;
    code.extend([
        (0x74, 0, 0, shift),
        (0x54, 0, 0, 0xff),
        (0x04, 0, 0, 1),
        (0x44, 0, 0, 0x0005_0000),
        (0x16, 0, 0, 0),
    ]);
    code
}

fn compared() -> Result<()> {
    let case = TestEnv::new()?;
    let mut dice = Dice(20_261_128);
    let (mut table, mut expected) = (String::new(), Vec::new());
    for number in 0..COUNT {
        let code = random(&mut dice);
        let bytes: Vec<u8> = code
            .iter()
            .flat_map(|(code, jt, jf, k)| [&code.to_ne_bytes()[..], &[*jt, *jf], &k.to_ne_bytes()].concat())
            .collect();
        let program = Program::parse(&bytes)?;
        writeln!(table, "{{ {}, {{ ", code.len())?;
        code.iter().try_for_each(|(code, jt, jf, k)| write!(table, "{{{code},{jt},{jf},{k}u}},"))?;
        table.push_str("} },\n");
        for arguments in ARGUMENTS {
            let getppid = Abi::HOST[0].number("getppid").context("getppid")?;
            let answer = Action::of(program.run(&Call::new(Abi::HOST[0], getppid, arguments)));
            // A division by nothing has ended it: that kills.
            let said = match answer {
                Action::Errno(errno) => i64::from(errno),
                Action::KillThread => -1,
                other => anyhow::bail!("program {number}: {other:?}"),
            };
            expected.push(said);
        }
    }
    let arguments: Vec<String> =
        ARGUMENTS.iter().map(|its| its.map(|one| format!("(long){one}ul")).join(", ")).collect();
    let calls: String = arguments
        .iter()
        .map(|its| format!("case_number++; printf(\"%d\\n\", once(n, (long[]){{ {its} }}));\n"))
        .collect();
    let source = format!(
        "#define _GNU_SOURCE\n#include <errno.h>\n#include <linux/filter.h>\n#include <linux/seccomp.h>\n#include <stdio.h>\n
        #include <sys/syscall.h>\n#include <sys/wait.h>\n#include <unistd.h>\n
        static struct {{ unsigned short length; struct sock_filter code[40]; }} programs[] = {{ {table} }};
        static int case_number;
        static int once(int n, long *a) {{
            int pipe_of[2], answer = -1, status;
            if (pipe(pipe_of)) return -2;
            fflush(stdout);
            int child = fork();
            if (!child) {{
                struct sock_fprog program = {{ programs[n].length, programs[n].code }};
                if (syscall(SYS_seccomp, 1, 0, &program)) _exit(1);
                errno = 0;
                syscall(SYS_getppid, a[0], a[1], a[2], a[3], a[4], a[5]);
                answer = errno;
                if (write(pipe_of[1], &answer, sizeof answer) < 0) _exit(2);
                _exit(0);
            }}
            close(pipe_of[1]);
            if (read(pipe_of[0], &answer, sizeof answer) != sizeof answer) answer = -1;
            close(pipe_of[0]);
            waitpid(child, &status, 0);
            return WIFEXITED(status) && WEXITSTATUS(status) ? -3 : answer;
        }}
        int main(void) {{
            for (unsigned n = 0; n < sizeof programs / sizeof *programs; n++) {{ {calls} }}
            return case_number == 0;
        }}"
    );
    let program = with_libc(&case, "programs", &source)?;
    let output = support::run_with_timeout(&mut case.command([&program]), crate::common::LIMIT)?;
    expect(&output, 0, &[])?;
    let said: Vec<i64> =
        String::from_utf8(output.stdout)?.lines().map(str::parse).collect::<Result<_, _>>()?;
    ensure!(said.len() == expected.len(), "{} answers of {}", said.len(), expected.len());
    for (at, (said, expected)) in said.iter().zip(&expected).enumerate() {
        ensure!(said == expected, "program {} says {said} in the kernel, and {expected} here", at / 3);
    }
    ensure!(expected.iter().filter(|said| **said > 1).count() > 100, "they say nothing");
    Ok(())
}

/// Its kind and a digest, which is the same for the same filter.
fn recorded() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "plain", "call(__NR_getppid, 0, 0, 0);")?;
    let of = |answers: &[&str]| {
        let (recording, _) = run_under(&case, answers, &[], &[&program], 0)?;
        recording.filter.context("no filter")
    };
    let [first, again, other] = [&["times=50001"][..], &["times=50001"], &["times=50002"]].map(of);
    let (first, again, other) = (first?, again?, other?);
    ensure!(first == again && first.digest != other.digest, "{first:?} {again:?} {other:?}");
    ensure!(first.kind == Kind::Other && first.instructions == 6, "{first:?}");
    ensure!(of(&[])?.kind == Kind::Tracing, "{:?}", of(&[]));
    expect(&case.run(&[], &[&program])?, 0, &[])?;
    let none = case.recording()?.filter.context("none is said")?;
    ensure!(none.kind == Kind::None && none.digest.is_none(), "{none:?}");
    Ok(())
}
