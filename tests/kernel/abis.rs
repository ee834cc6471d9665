//! Calls of every ABI that this machine runs, each in its own table, and numbers that no table has.

use crate::{
    help::{Case, architectures, bare, bare_32_bit, eventually, expect, names, numbers, set, stderr},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
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
        support::test("what_one_abi_lends_another_is_said", needs, || {
            let case = Case::new()?;
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
        support::test("i386s_own_numbers_have_i386s_names", needs, own_names),
        support::test("an_exec_is_of_the_abi_that_makes_it", needs, execs),
        support::test("an_interrupted_sleep_is_restarted_in_its_abi", needs, restarts),
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

fn own_names() -> Result<()> {
    let case = Case::new()?;
    let calls: String = OWN.iter().map(|(number, _)| format!("call({number}, -1, -1, -1);")).collect();
    let program = bare_32_bit(&case, "own", &calls)?;
    expect(&case.run(&["--runtimes", "exact"], &[&program])?, 0, &[])?;
    let recording = case.recording()?;
    let expected = set(OWN.iter().map(|(_, name)| *name).chain(["exit_group"]));
    ensure!(of(&recording, Abi::I386) == expected, "{:?}", recording.syscalls);
    ensure!(recording.syscalls.keys().eq([&Abi::I386]), "{:?}", recording.syscalls);
    Ok(())
}

/// A 64-bit program becomes a 32-bit one, and that one a 64-bit one.
fn execs() -> Result<()> {
    let case = Case::new()?;
    let last = bare(&case, "last", "call(__NR_getppid, 0, 0, 0);")?;
    let exec = |number, next: &str| {
        format!("static char *argv[] = {{\"{next}\", 0}}; call({number}, (long)argv[0], (long)argv, 0);")
    };
    let middle = bare_32_bit(&case, "middle", &exec(11, &last))?;
    let first = bare(&case, "first", &exec(59, &middle))?;
    for (program, native) in
        [(&first, &["execve", "exit_group", "getppid"][..]), (&middle, &["exit_group", "getppid"])]
    {
        expect(&case.run(&["--runtimes", "exact"], &[program])?, 0, &[])?;
        let recording = case.recording()?;
        ensure!(of(&recording, Abi::I386) == set(["execve"]), "{:?}", recording.syscalls);
        ensure!(of(&recording, Abi::X86_64) == set(native.iter().copied()), "{:?}", recording.syscalls);
    }
    Ok(())
}

/// SIGSTOP and SIGCONT make restart_syscall of a sleep: 219 as x86_64, 0 as i386, which is read as x86_64.
fn restarts() -> Result<()> {
    let sleep = |call: &str, number: u32| {
        format!("static int time[4] = {{600}}; {call}({number}, (long)time, 0, 0);")
    };
    let native = (Abi::X86_64, sleep("call", 35), false);
    let compat = (Abi::I386, sleep("call_32", 162), false);
    let only_32 = (Abi::I386, sleep("call", 162), true);
    for (abi, body, is_32_bit) in [native, compat, only_32] {
        let case = Case::new()?;
        let program =
            if is_32_bit { bare_32_bit(&case, "sleeps", &body) } else { bare(&case, "sleeps", &body) }?;
        let running = case.start(&["--runtimes", "exact"], &[&program])?;
        // It does nothing but sleep, so where it sleeps, it does that.
        let pid = eventually("it sleeps", || sleeper(&case))?;
        for (signal, state) in [(Signal::STOP, "T"), (Signal::CONT, "S")] {
            kill_process(pid, signal)?;
            eventually(state, || (self::state(pid).as_deref() == Some(state)).then_some(()))?;
        }
        kill_process(pid, Signal::KILL)?;
        expect(&case.finish(running)?, 137, &[])?;
        let recording = case.recording()?;
        ensure!(of(&recording, abi) == set(["nanosleep", "restart_syscall"]), "{:?}", recording.syscalls);
        ensure!(recording.syscalls.keys().eq([&abi]), "{:?}", recording.syscalls);
    }
    Ok(())
}

/// The process below the test's cgroup, once it sleeps.
fn sleeper(case: &Case) -> Option<Pid> {
    let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let pid = case
        .home
        .processes()
        .into_iter()
        .find(|pid| name(*pid).trim() == "sleeps")
        .and_then(Pid::from_raw)?;
    (state(pid)? == "S").then_some(pid)
}

fn state(pid: Pid) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("State:")?.split_whitespace().next().map(str::to_owned))
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
