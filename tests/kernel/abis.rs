//! Calls of every ABI that this machine runs, each in its own table, and numbers that no table has.

use crate::{
    help::{Case, architectures, bare, bare_32_bit, expect, names, numbers, set, stderr},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use seccomp_trace::{
    abi::Abi,
    recording::{Origin, Recording},
};
use std::collections::BTreeSet;

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
            let case = Case::new()?;
            let program = bare_32_bit(&case, "all32", "call(64, 0, 0, 0);")?;
            expect(&case.run(&["--runtimes", "exact"], &[&program])?, 0, &[])?;
            let recording = case.recording()?;
            ensure!(recording.syscalls.keys().eq([&Abi::I386]), "{:?}", recording.syscalls);
            ensure!(of(&recording, Abi::I386) == set(["getppid", "exit_group"]), "{:?}", recording.syscalls);
            ensure!(architectures(&case.profile()?) == set(["SCMP_ARCH_X86"]));
            Ok(())
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
        support::test("numbers_without_a_name_are_kept_and_told", needs, unnamed),
        support::test("more_numbers_than_can_be_kept_make_it_incomplete", needs, overflow),
        support::test("as_many_numbers_as_can_be_kept_are_kept", needs, || {
            let case = recorded("most", "for (long n = 1000; n < 1000 + 4096; n++) call(n, 0, 0, 0);", 0)?;
            let recording = case.recording()?;
            let beyond: BTreeSet<_> =
                numbers(&recording, Abi::X86_64).into_iter().filter(|n| *n >= 512).collect();
            ensure!(beyond.len() == 4096, "{} are kept", beyond.len());
            ensure!(!recording.is_incomplete());
            Ok(())
        }),
    ]
}

/// Records a small program.
fn recorded(name: &str, body: &str, code: i32) -> Result<Case> {
    let case = Case::new()?;
    let program = bare(&case, name, body)?;
    expect(&case.run(&["--runtimes", "exact"], &[&program])?, code, &[])?;
    Ok(case)
}

fn of(recording: &Recording, abi: Abi) -> BTreeSet<String> {
    names(recording, abi, Origin::Application)
}

fn unnamed() -> Result<()> {
    let case = Case::new()?;
    let body = "call(511, 0, 0, 0); call(512, 0, 0, 0); call(600, 0, 0, 0); call(4000000, 0, 0, 0);
                call(-1, 0, 0, 0); call_compat(600);";
    let program = bare(&case, "odd", body)?;
    let output = case.run(&["--runtimes", "exact"], &[&program])?;
    expect(&output, 0, &["numbers without a name", "600", "4000000"])?;
    let recording = case.recording()?;
    let mut unnamed: Vec<(Abi, u32)> = Vec::new();
    for (abi, calls) in &recording.syscalls {
        unnamed.extend(calls.iter().filter(|call| call.name.is_none()).map(|call| (*abi, call.number)));
    }
    let native = [511, 512, 600, 4_000_000, u32::MAX].map(|number| (Abi::X86_64, number));
    ensure!(unnamed == [&native[..], &[(Abi::I386, 600)]].concat(), "{unnamed:?}");
    ensure!(!recording.is_incomplete(), "{}", stderr(&output));
    Ok(())
}

/// A limit that is told: the file says so, and the exit status.
fn overflow() -> Result<()> {
    let case = Case::new()?;
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
        ensure!(of(&recording, Abi::X86_64) == set(["exit_group", "getppid"]), "a named call is missing");
        ensure!(case.profile_path().exists());
    }
    // Where COMMAND itself failed, its status stands.
    expect(&case.run(&[], &["sh", "-c", &format!("{program}; exit 7")])?, 7, &["lost", "incomplete"])?;
    ensure!(case.recording()?.is_incomplete());
    Ok(())
}
