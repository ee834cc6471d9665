//! What a recording can't hold is in its warnings and on stderr, each once, with what to do. The vsyscall page is none of it any
//! more: its calls are recorded.

use crate::{
    common::{NATIVE, TestEnv, bare, expect, stderr},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("blind_spots_are_told_once_and_kept", needs, told_once),
        #[cfg(target_arch = "x86_64")]
        support::test(
            "calls_of_the_vsyscall_page_are_recorded",
            &[Need::Kernel, Need::Cc, Need::Vsyscall],
            vsyscall,
        ),
    ]
}

/// With a profile, with a recording, with both: in the recording each once, on stderr each once.
fn told_once() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "blind", "call(__NR_io_uring_setup, 0, 0, 0); call(999, 0, 0, 0);")?;
    let unnamed = format!("{NATIVE} 999");
    let words =
        [("io-uring", "io_uring_disabled=2"), ("unknown-syscalls", unnamed.as_str()), ("vdso", "--portable")];
    let both = ["-o", &case.file("p.json"), "--recording", &case.file("recording.json")].map(str::to_owned);
    for places in [&both[..2], &both[2..], &both[..]] {
        for portable in [&[][..], &["--portable"]] {
            let mut line = vec!["run"];
            line.extend(places.iter().map(String::as_str));
            line.extend(portable.iter().chain(&["--", &program]));
            let output = support::run_with_timeout(&mut case.program(&line), crate::common::LIMIT)?;
            expect(&output, 0, &[])?;
            for (code, advice) in words {
                let said = stderr(&output).matches(advice).count();
                // Who makes the profile portable has no need of that advice.
                let expected = usize::from(code != "vdso" || portable.is_empty());
                ensure!(said == expected, "{code} is said {said} times: {}", stderr(&output));
            }
        }
    }
    let recording = case.recording()?;
    for (code, advice) in words {
        let its = recording.warnings.iter().filter(|warning| warning.code == code).collect::<Vec<_>>();
        ensure!(its.len() == 1 && its[0].message.contains(advice), "{:?}", recording.warnings);
    }
    Ok(())
}

/// A filter is asked about them, and they enter no system call.
#[cfg(target_arch = "x86_64")]
fn vsyscall() -> Result<()> {
    let case = TestEnv::new()?;
    let body = "((long (*)(void *))0xffffffffff600400)(0);
        ((long (*)(void *, void *))0xffffffffff600000)(0, 0);";
    let program = bare(&case, "vsyscall", body)?;
    let output = case.run(&["--runtimes", "exact"], &[&program])?;
    expect(&output, 0, &["vsyscall=none"])?;
    let recording = case.recording()?;
    let seen = crate::common::names(&recording, NATIVE, seccomp_trace::recording::Origin::Application);
    ensure!(seen == crate::common::set(["exit_group", "gettimeofday", "time"]), "{seen:?}");
    ensure!(recording.warnings.iter().filter(|warning| warning.code == "vsyscall").count() == 1);
    ensure!(recording.syscalls.values().flatten().all(|call| call.comm.as_deref() == Some("vsyscall")));
    // The same calls by the vDSO's way or by number are no vsyscall.
    let plain = bare(&case, "plain", "call(__NR_time, 0, 0, 0);")?;
    expect(&case.run(&["--runtimes", "exact"], &[&plain])?, 0, &[])?;
    let recording = case.recording()?;
    ensure!(recording.warnings.iter().all(|warning| warning.code != "vsyscall"), "{:?}", recording.warnings);
    Ok(())
}
