//! Ctrl-C at any moment: no cgroup is left, and no half file.

use crate::{
    common::{LIMIT, TestEnv, eventually, json, stderr},
    support::{self, Need, Running, Trial},
};
use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use seccomp_trace::recording::Recording;
use std::{io::Write as _, path::Path, process::Stdio, time::Duration};

/// Delays in ms: the start takes some 20, loading and detaching the kernel program the rest.
const DELAYS: [u64; 20] = [0, 1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 17, 20, 23, 26, 29, 32, 35, 40, 80];

/// Each of them; in a virtual machine every fourth, as the start takes longer there, too.
fn delays() -> impl Iterator<Item = u64> {
    let step = if support::many(20) < 20 { 4 } else { 1 };
    DELAYS.into_iter().step_by(step).map(move |delay| delay * step as u64)
}

pub fn tests() -> Vec<Trial> {
    let kernel = &[Need::Kernel];
    vec![
        support::test("run_may_be_interrupted_at_any_moment", kernel, || {
            for delay in delays() {
                let case = TestEnv::new()?;
                let running = case.start(&[], &["sh", "-c", "sleep 0.05; exit 3"])?;
                interrupted(&case, running, delay, &[3, 130])?;
            }
            Ok(())
        }),
        support::test("record_may_be_interrupted_at_any_moment", kernel, || {
            for delay in delays() {
                let case = TestEnv::new()?;
                let (profile, recording) = (case.file("profile.json"), case.file("recording.json"));
                let places = ["-o", &profile, "--recording", &recording];
                let words = [&["record", "--cgroup", &case.home.path], &places[..]].concat();
                // It finds itself in that cgroup, so that it always has something to write.
                let running = Running::start(&mut case.program(words))?;
                interrupted(&case, running, delay, &[0, 2, 130])?;
            }
            Ok(())
        }),
        support::test("ctrl_c_of_a_terminal_ends_a_run_at_any_moment", kernel, || {
            delays().try_for_each(typed)
        }),
        support::test("a_signal_is_not_lost_while_signals_are_taken", &[Need::Kernel, Need::Strace], held),
    ]
}

/// Sent in the instant in which the handler is there and is not known yet; strace makes it a long one.
fn held() -> Result<()> {
    let case = TestEnv::new()?;
    let slowly = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=rt_sigaction"];
    let slowly = [&slowly[..], &["-e", "inject=rt_sigaction:delay_exit=50000"]].concat();
    let mut command = case.command(slowly);
    command.arg(support::program().get_program()).args(["record", "--cgroup", &case.home.path, "-o", "-"]);
    let strace = Running::start(&mut command)?;
    let children = format!("/proc/{0}/task/{0}/children", strace.pid());
    let traced = eventually("its handler of SIGINT is there", || {
        let child: i32 = std::fs::read_to_string(&children).ok()?.trim().parse().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        // SIGINT is signal 2.
        (u64::from_str_radix(caught.trim(), 16).ok()? & 2 != 0).then_some(child)
    })?;
    kill_process(Pid::from_raw(traced).context("no process")?, Signal::INT)?;
    let output = strace.finish(LIMIT)?;
    // Its cgroup has processes, so that there may be something to write.
    ensure!(matches!(output.status.code(), Some(0 | 2)), "{:?}, {}", output.status, stderr(&output));
    Ok(())
}

/// Typed before COMMAND is there, or after: it must not wait for its minute.
fn typed(delay: u64) -> Result<()> {
    let case = TestEnv::new()?;
    let program = support::program().get_program().display().to_string();
    let line = format!("exec {program} run -o {} -- sleep 60", case.file("profile.json"));
    // `script` gives it a terminal, and types what it reads.
    let mut command = case.command(["script", "-qefc", &line, "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let is_running = || {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).ok()?;
        let traced: i32 = children.trim().parse().ok()?;
        let name = std::fs::read_link(format!("/proc/{traced}/exe")).ok()?;
        (name.to_string_lossy() == program).then_some(())
    };
    eventually("seccomp-trace runs", is_running)?;
    std::thread::sleep(Duration::from_millis(delay));
    let mut keyboard = child.stdin.take().context("no stdin")?;
    keyboard.write_all(b"\x03")?;
    let status = eventually("it ends", || child.try_wait().ok().flatten());
    if status.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let status = status.with_context(|| format!("after {delay} ms"))?;
    ensure!(status.code() == Some(130), "after {delay} ms: {status}");
    Ok(())
}

/// A time is what is tested here: as a terminal does, the whole group is signalled.
fn interrupted(case: &TestEnv, running: Running, delay: u64, codes: &[i32]) -> Result<()> {
    std::thread::sleep(Duration::from_millis(delay));
    kill_process_group(running.pid(), Signal::INT)?;
    let output = running.finish(LIMIT)?;
    let shown = || format!("after {delay} ms: {:?}, {}", output.status, stderr(&output));
    // Before it takes signals, the signal itself ends it.
    let by_signal = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(2);
    ensure!(by_signal || output.status.code().is_some_and(|code| codes.contains(&code)), shown());
    case.is_clean().with_context(shown)?;
    for file in case.files()? {
        let path = case.folder.path().join(&file);
        match Path::new(&file).file_name().and_then(|name| name.to_str()) {
            Some("recording.json") => ensure!(Recording::read(&path).with_context(shown)?.finished),
            Some("profile.json") => drop(json(&path).with_context(shown)?),
            _ => anyhow::bail!("{file} is left {}", shown()),
        }
    }
    Ok(())
}
