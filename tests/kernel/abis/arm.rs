//! aarch64: 32-bit programs of arm.

use super::{of, recorded};
use crate::{
    common::{TestEnv, architectures, bare, bare_32_bit, expect, set},
    denials::run_under,
    support::{
        self, Need, Trial,
        denials::{denied, times},
    },
};
use anyhow::ensure;
use seccomp_trace::abi::Abi;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("a_32_bit_program_is_arms_alone", needs, || {
            let case = TestEnv::new()?;
            let program = bare_32_bit(&case, "all32", "call(__NR_getppid, 0, 0, 0);")?;
            expect(&case.run(&["--runtimes", "exact"], &[&program])?, 0, &[])?;
            let recording = case.recording()?;
            ensure!(recording.syscalls.keys().eq([&Abi::Arm]), "{:?}", recording.syscalls);
            ensure!(of(&recording, Abi::Arm) == set(["getppid", "exit_group"]), "{:?}", recording.syscalls);
            ensure!(architectures(&case.profile()?) == set(["SCMP_ARCH_ARM"]));
            Ok(())
        }),
        support::test("programs_of_both_abis_have_both_architectures", needs, || {
            let case = TestEnv::new()?;
            let (one, other) =
                (bare_32_bit(&case, "one", "call(__NR_getppid, 0, 0, 0);")?, bare(&case, "other", "")?);
            let script = format!("{one}; {other}");
            let output = case.run(&["--runtimes", "exact", "--verbose"], &["sh", "-c", &script])?;
            expect(&output, 0, &["over-allowed to arm: "])?;
            ensure!(of(&case.recording()?, Abi::Arm) == set(["getppid", "exit_group"]));
            ensure!(architectures(&case.profile()?) == set(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]));
            Ok(())
        }),
        support::test("arms_own_numbers_have_arms_names", needs, || super::own_names(Abi::Arm, &OWN)),
        support::test("a_64_bit_program_is_aarch64s_alone", needs, || {
            let recording = recorded("all64", "call(173, 0, 0, 0);", 0)?.recording()?;
            ensure!(recording.syscalls.keys().eq([&Abi::Aarch64]), "{:?}", recording.syscalls);
            ensure!(of(&recording, Abi::Aarch64) == set(["getppid", "exit_group"]));
            Ok(())
        }),
        support::test("an_exec_is_of_the_abi_that_makes_it", needs, || super::execs(221)),
        support::test("an_interrupted_sleep_is_restarted_in_its_abi", needs, || {
            super::restarts(&[(Abi::Aarch64, "call", 101, false), (Abi::Arm, "call", 162, true)])
        }),
        support::test("denied_32_bit_calls_are_told_by_their_abi", needs, || {
            let case = TestEnv::new()?;
            let program =
                bare_32_bit(&case, "all32", "call(__NR_times, 0, 0, 0); call(__NR_times, 0, 0, 0);")?;
            let exact = ["--runtimes", "exact"];
            let (recording, _) = run_under(&case, &["32:times=50001"], &exact, &[&program], 0)?;
            ensure!(denied(&recording) == times([("arm times EPERM", 2)]), "{:?}", denied(&recording));
            let (recording, _) = run_under(&case, &["32:times=80000000"], &exact, &[&program], 159)?;
            ensure!(denied(&recording) == times([("arm times killed", 1)]), "{:?}", denied(&recording));
            Ok(())
        }),
    ]
}

/// Numbers whose name is another one on aarch64, or nobody else's; all fail, or do nothing.
const OWN: [(u32, &str); 12] = [
    (20, "getpid"),
    (64, "getppid"),
    (140, "_llseek"),
    (142, "_newselect"),
    (192, "mmap2"),
    (195, "stat64"),
    (199, "getuid32"),
    (221, "fcntl64"),
    (270, "arm_fadvise64_64"),
    (341, "arm_sync_file_range"),
    (422, "futex_time64"),
    (0xf_0002, "cacheflush"),
];
