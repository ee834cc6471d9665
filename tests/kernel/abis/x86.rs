//! x86: i386's calls, by 32-bit programs and by `int $0x80`, and x32's.

use super::{of, recorded};
use crate::{
    common::{TestEnv, architectures, bare, bare_32_bit, expect, numbers, set},
    support::{self, Need, Trial},
};
use anyhow::ensure;
use seccomp_trace::abi::Abi;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("a_32_bit_call_of_a_64_bit_program_is_i386s", needs, || {
            // 20 and 199 are getpid and getuid32 there, writev and io_getevents_… here.
            let case = recorded("compat", "call_compat(20); call_compat(199);", 0)?;
            let recording = case.recording()?;
            ensure!(of(&recording, Abi::I386) == set(["getpid", "getuid32"]), "{:?}", recording.syscalls);
            ensure!(of(&recording, Abi::X86_64) == set(["exit_group"]), "{:?}", recording.syscalls);
            let profile = case.profile()?;
            ensure!(architectures(&profile) == set(["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"]), "{profile}");
            Ok(())
        }),
        support::test("a_32_bit_program_is_i386s_alone", needs, || {
            let case = TestEnv::new()?;
            let program = bare_32_bit(&case, "all32", "call(64, 0, 0, 0);")?;
            expect(&case.run(&["--runtimes", "exact"], &[&program])?, 0, &[])?;
            let recording = case.recording()?;
            ensure!(recording.syscalls.keys().eq([&Abi::I386]), "{:?}", recording.syscalls);
            ensure!(of(&recording, Abi::I386) == set(["getppid", "exit_group"]), "{:?}", recording.syscalls);
            ensure!(architectures(&case.profile()?) == set(["SCMP_ARCH_X86"]));
            Ok(())
        }),
        support::test("what_one_abi_lends_another_is_said", needs, || {
            let case = TestEnv::new()?;
            let program = bare(&case, "lends", "call(__NR_getppid, 0, 0, 0); call_compat(65);")?;
            let output = case.run(&["--runtimes", "exact", "--verbose"], &[&program])?;
            expect(
                &output,
                0,
                &[
                    "warning: a rule counts under every architecture listed (x86_64, i386)",
                    "are allowed too: 1 to x86_64: getpgrp; 1 to i386: getppid\n",
                    "over-allowed to i386: getppid\n",
                ],
            )
        }),
        support::test("i386s_own_numbers_have_i386s_names", needs, || super::own_names(Abi::I386, &OWN)),
        support::test("an_exec_is_of_the_abi_that_makes_it", needs, || super::execs(59)),
        support::test("an_interrupted_sleep_is_restarted_in_its_abi", needs, || {
            super::restarts(&[
                (Abi::X86_64, "call", 35, false),
                (Abi::I386, "call_32", 162, false),
                (Abi::I386, "call", 162, true),
            ])
        }),
        support::test("an_x32_call_is_x32s_by_its_number", needs, || {
            // 520 is x32's own execve; without its arguments it only fails.
            let case =
                recorded("x32", "call(0x40000000 | 39, 0, 0, 0); call(0x40000000 | 520, 0, 0, 0);", 0)?;
            let recording = case.recording()?;
            ensure!(numbers(&recording, Abi::X32) == [39, 520].into(), "{:?}", recording.syscalls);
            ensure!(of(&recording, Abi::X32) == set(["getpid", "execve"]), "{:?}", recording.syscalls);
            ensure!(of(&recording, Abi::X86_64) == set(["exit_group"]), "{:?}", recording.syscalls);
            ensure!(architectures(&case.profile()?) == set(["SCMP_ARCH_X32", "SCMP_ARCH_X86_64"]));
            Ok(())
        }),
    ]
}

/// Numbers whose name is another one on x86_64, or nobody else's; all fail, or do nothing.
const OWN: [(u32, &str); 16] = [
    (7, "waitpid"),
    (17, "break"),
    (18, "oldstat"),
    (34, "nice"),
    (59, "oldolduname"),
    (68, "sgetmask"),
    (102, "socketcall"),
    (117, "ipc"),
    (140, "_llseek"),
    (142, "_newselect"),
    (192, "mmap2"),
    (195, "stat64"),
    (199, "getuid32"),
    (221, "fcntl64"),
    (272, "fadvise64_64"),
    (422, "futex_time64"),
];
