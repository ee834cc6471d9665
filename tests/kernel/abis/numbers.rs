//! Numbers that no table has.

use super::{of, recorded};
use crate::{
    common::{NATIVE, TestEnv, bare, expect, numbers, set, stderr},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use seccomp_trace::abi::Abi;
use std::collections::BTreeSet;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("numbers_without_a_name_are_kept_and_told", needs, unnamed),
        support::test("more_numbers_than_can_be_kept_make_it_incomplete", needs, overflow),
        support::test("as_many_numbers_as_can_be_kept_are_kept", needs, || {
            let case = recorded("most", "for (long n = 1000; n < 1000 + 4096; n++) call(n, 0, 0, 0);", 0)?;
            let recording = case.recording()?;
            let beyond: BTreeSet<_> = numbers(&recording, NATIVE).into_iter().filter(|n| *n >= 512).collect();
            ensure!(beyond.len() == 4096, "{} are kept", beyond.len());
            ensure!(!recording.is_incomplete());
            Ok(())
        }),
    ]
}

fn unnamed() -> Result<()> {
    let case = TestEnv::new()?;
    let body = "call(511, 0, 0, 0); call(512, 0, 0, 0); call(600, 0, 0, 0); call(4000000, 0, 0, 0);
                call(-1, 0, 0, 0);
#if defined __x86_64__
                call_compat(600);
#endif
";
    let program = bare(&case, "odd", body)?;
    let output = case.run(&["--runtimes", "exact"], &[&program])?;
    expect(&output, 0, &["numbers without a name", "600", "4000000"])?;
    let recording = case.recording()?;
    let mut unnamed: Vec<(Abi, u32)> = Vec::new();
    for (abi, calls) in &recording.syscalls {
        unnamed.extend(calls.iter().filter(|call| call.name.is_none()).map(|call| (*abi, call.number)));
    }
    // −1 is no call, and no rule can name it.
    let native = [511, 512, 600, 4_000_000].map(|number| (NATIVE, number));
    let compat: &[_] = if cfg!(target_arch = "x86_64") { &[(Abi::HOST[1], 600)] } else { &[] };
    ensure!(unnamed == [&native[..], compat].concat(), "{unnamed:?}");
    ensure!(!recording.is_incomplete(), "{}", stderr(&output));
    Ok(())
}

/// A limit that is told: the file says so, and the exit status.
fn overflow() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(
        &case,
        "many",
        "for (long n = 1000; n < 6500; n++) call(n, 0, 0, 0); call(__NR_getppid, 0, 0, 0);",
    )?;
    for (options, code) in [(&[][..], 125), (&["--allow-incomplete"], 0)] {
        let output = case.run(options, &[&program])?;
        expect(&output, code, &["lost"])?;
        let recording = case.recording()?;
        ensure!(recording.lost.syscalls == 5500 - 4096, "{:?}", recording.lost);
        ensure!(of(&recording, NATIVE) == set(["exit_group", "getppid"]), "a named call is missing");
        ensure!(case.profile_path().exists());
    }
    // Where COMMAND itself failed, its status stands.
    expect(&case.run(&[], &["sh", "-c", &format!("{program}; exit 7")])?, 7, &["lost", "incomplete"])?;
    ensure!(case.recording()?.is_incomplete());
    Ok(())
}
