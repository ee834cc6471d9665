//! Calls of every ABI that this machine runs, each in its own table, and numbers that no table has.

#[cfg(target_arch = "aarch64")]
mod arm;
mod numbers;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::{
    common::{NATIVE, TestEnv, bare, bare_32_bit, eventually, expect, names, set},
    denials::run_under,
    support::Trial,
};
use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use seccomp_trace::{
    abi::Abi,
    recording::{Origin, Recording},
};
use std::collections::BTreeSet;

pub fn tests() -> Vec<Trial> {
    let groups = [
        numbers::tests(),
        #[cfg(target_arch = "x86_64")]
        x86::tests(),
        #[cfg(target_arch = "aarch64")]
        arm::tests(),
    ];
    groups.into_iter().flatten().collect()
}

/// Records a small program.
fn recorded(name: &str, body: &str, code: i32) -> Result<TestEnv> {
    let case = TestEnv::new()?;
    let program = bare(&case, name, body)?;
    expect(&case.run(&["--runtimes", "exact"], &[&program])?, code, &[])?;
    Ok(case)
}

fn of(recording: &Recording, abi: Abi) -> BTreeSet<String> {
    names(recording, abi, Origin::Application)
}

/// A 32-bit program of this ABI makes these calls, which all fail, or do nothing: each has its own name.
fn own_names(abi: Abi, own: &[(u32, &str)]) -> Result<()> {
    let case = TestEnv::new()?;
    let calls: String = own.iter().map(|(number, _)| format!("call({number}, -1, -1, -1);")).collect();
    let program = bare_32_bit(&case, "own", &calls)?;
    expect(&case.run(&["--runtimes", "exact"], &[&program])?, 0, &[])?;
    let recording = case.recording()?;
    let expected = set(own.iter().map(|(_, name)| *name).chain(["exit_group"]));
    ensure!(of(&recording, abi) == expected, "{:?}", recording.syscalls);
    ensure!(recording.syscalls.keys().eq([&abi]), "{:?}", recording.syscalls);
    Ok(())
}

/// A 64-bit program becomes a 32-bit one, and that one a 64-bit one. `execve` is its number for 64-bit programs; for 32-bit ones
/// it is 11.
fn execs(execve: u32) -> Result<()> {
    let case = TestEnv::new()?;
    let last = bare(&case, "last", "call(__NR_getppid, 0, 0, 0);")?;
    let exec = |number: u32, next: &str| {
        format!("static char *argv[] = {{\"{next}\", 0}}; call({number}, (long)argv[0], (long)argv, 0);")
    };
    let middle = bare_32_bit(&case, "middle", &exec(11, &last))?;
    let first = bare(&case, "first", &exec(execve, &middle))?;
    for (program, native) in
        [(&first, &["execve", "exit_group", "getppid"][..]), (&middle, &["exit_group", "getppid"])]
    {
        // Under a filter: a change of the ABI within a call is no denial.
        let (recording, _) = run_under(&case, &["times=50001"], &["--runtimes", "exact"], &[program], 0)?;
        ensure!(of(&recording, Abi::HOST[1]) == set(["execve"]), "{:?}", recording.syscalls);
        ensure!(of(&recording, NATIVE) == set(native.iter().copied()), "{:?}", recording.syscalls);
        ensure!(recording.denials().count() == 0, "{:?}", recording.denied);
    }
    Ok(())
}

/// SIGSTOP and SIGCONT make restart_syscall of a sleep, in its own ABI: each with how it is called, nanosleep's number, and whether it is a 32-bit program's.
fn restarts(sleeps: &[(Abi, &str, u32, bool)]) -> Result<()> {
    for (abi, call, number, is_32_bit) in sleeps {
        let body = format!("static int time[4] = {{600}}; {call}({number}, (long)time, 0, 0);");
        let case = TestEnv::new()?;
        let program =
            if *is_32_bit { bare_32_bit(&case, "sleeps", &body) } else { bare(&case, "sleeps", &body) }?;
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
        ensure!(of(&recording, *abi) == set(["nanosleep", "restart_syscall"]), "{:?}", recording.syscalls);
        ensure!(recording.syscalls.keys().eq([abi]), "{:?}", recording.syscalls);
    }
    Ok(())
}

/// The process below the test's cgroup, once it sleeps.
fn sleeper(case: &TestEnv) -> Option<Pid> {
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
