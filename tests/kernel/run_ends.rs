//! `run`: how it ends, and what becomes of what COMMAND leaves behind.

use crate::{
    common::{LIMIT, TestEnv, eventually, expect, has_ended, stderr, with_libc},
    support::{self, Need, Running, Trial},
};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::Recording;
use std::{
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

/// Leaves a process behind and prints its id.
const LEAVES: &str = "sleep 60 >/dev/null 2>&1 & echo $!";

pub fn tests() -> Vec<Trial> {
    let kernel = &[Need::Kernel];
    vec![
        support::test("what_is_left_is_moved_back_with_a_warning", kernel, || {
            let case = TestEnv::new()?;
            let output = case.run(&[], &["sh", "-c", LEAVES])?;
            expect(&output, 0, &["left 1 process", "--wait-all", "--kill"])?;
            let left = pid(&output)?;
            ensure!(!has_ended(left), "the process was ended");
            ensure!(case.home.processes() == [left.cast_signed()], "{:?}", case.home.processes());
            Ok(())
        }),
        support::test("what_is_left_in_cgroups_below_is_moved_back", kernel, || {
            let case = TestEnv::new()?;
            let script = format!(
                "own=$(echo {0}/seccomp-trace.*); mkdir $own/below && \
                 sh -c 'echo 0 >$0/below/cgroup.procs && cat /proc/self/cgroup >&2; {LEAVES}' $own",
                case.home.directory().display()
            );
            let output = case.run(&[], &["sh", "-c", &script])?;
            expect(&output, 0, &["left 1 process", "/below"])?;
            ensure!(case.home.processes() == [pid(&output)?.cast_signed()], "{:?}", case.home.processes());
            Ok(())
        }),
        support::test("kill_ends_what_is_left", kernel, || {
            let case = TestEnv::new()?;
            let output = case.run(&["--kill"], &["sh", "-c", LEAVES])?;
            expect(&output, 0, &["left 1 process"])?;
            let left = pid(&output)?;
            eventually("the process that was left is ended", || has_ended(left).then_some(()))
        }),
        support::test("wait_all_waits_for_what_is_left", kernel, || {
            let case = TestEnv::new()?;
            let script = "(sleep 0.3; touch late) >/dev/null 2>&1 & exit 5";
            let output = case.run(&["--wait-all"], &["sh", "-c", script])?;
            expect(&output, 5, &[])?;
            ensure!(!stderr(&output).contains("left"), "{}", stderr(&output));
            ensure!(Path::new(&case.file("late")).exists(), "it did not wait");
            Ok(())
        }),
        support::test("a_signal_is_passed_on_to_the_command", kernel, passed_on),
        support::test("ctrl_c_of_a_terminal_reaches_the_command_once", &[Need::Kernel, Need::Cc], terminal),
        support::test("a_second_ctrl_c_quits_at_once", kernel, twice),
        support::test("a_duration_ends_the_command", kernel, || {
            let case = TestEnv::new()?;
            let started = Instant::now();
            expect(&case.run(&["--duration", "300ms"], &["sleep", "60"])?, 128 + 15, &[])?;
            ensure!(started.elapsed() < Duration::from_secs(30), "it took {:?}", started.elapsed());
            ensure!(case.recording()?.finished && case.profile_path().exists());
            Ok(())
        }),
    ]
}

/// The process id on stdout.
fn pid(output: &Output) -> Result<u32> {
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().with_context(|| format!("no process id: {said:?}"))
}

/// Starts a script and waits until it has made the file `ready`.
fn start(case: &TestEnv, options: &[&str], script: &str) -> Result<Running> {
    let running = case.start(options, &["sh", "-c", script])?;
    let ready = case.file("ready");
    eventually("COMMAND is ready", || Path::new(&ready).exists().then_some(()))?;
    Ok(running)
}

fn passed_on() -> Result<()> {
    for (signal, name) in
        [(Signal::INT, "INT"), (Signal::TERM, "TERM"), (Signal::HUP, "HUP"), (Signal::USR1, "USR1")]
    {
        let case = TestEnv::new()?;
        let script = format!("trap 'echo got; exit 9' {name}; touch ready; while :; do sleep 0.02; done");
        let running = start(&case, &[], &script)?;
        running.signal(signal)?;
        let output = case.finish(running)?;
        expect(&output, 9, &[])?;
        ensure!(output.stdout == b"got\n", "{name}: {:?}", output.stdout);
        ensure!(case.recording()?.finished && case.profile_path().exists());
    }
    let case = TestEnv::new()?;
    let running = start(&case, &[], "touch ready; exec sleep 60")?;
    running.signal(Signal::TERM)?;
    expect(&case.finish(running)?, 128 + 15, &[])
}

/// Counts SIGINT; a shell would take two that come at once for one.
const COUNTS: &str = r#"
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
static volatile sig_atomic_t count;
static void counts(int signal) { (void)signal; count++; }
int main(void) {
    struct sigaction action = { .sa_handler = counts };
    sigaction(SIGINT, &action, 0);
    close(creat("ready", 0600));
    while (!count) usleep(1000);
    for (int i = 0; i < 30; i++) usleep(10000);
    return count;
}
"#;

/// A terminal sends Ctrl-C to the whole foreground group: it must not be passed on a second time.
fn terminal() -> Result<()> {
    let case = TestEnv::new()?;
    let counting = with_libc(&case, "counting", COUNTS)?;
    let command = format!(
        "exec {} run -o {} -- {counting}",
        support::program().get_program().display(),
        case.file("profile.json"),
    );
    // `script` gives it a terminal, and types what it reads. Its shell may be one that stays beside us (dash), and that
    // Ctrl-C would end.
    let mut command = case.command(["script", "-qefc", &command, "/dev/null"]);
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn()?;
    // And we have seen that it started: what is typed before that may come twice, rather than not at all.
    for file in ["ready", "profile.json.partial"] {
        let path = case.file(file);
        eventually(file, || Path::new(&path).exists().then_some(()))?;
    }
    let mut keyboard = child.stdin.take().context("no stdin")?;
    std::io::Write::write_all(&mut keyboard, b"\x03")?;
    let status = eventually("it ends", || child.try_wait().ok().flatten())?;
    ensure!(status.code() == Some(1), "Ctrl-C came {status}");
    case.is_clean()
}

fn twice() -> Result<()> {
    let case = TestEnv::new()?;
    let running = start(&case, &[], "trap '' INT; touch ready; exec sleep 60")?;
    let partial = case.folder.path().join("recording.json.partial");
    let has_seen = || Recording::read(&partial).ok().filter(|recording| !recording.syscalls.is_empty());
    eventually("there is a checkpoint", has_seen)?;
    running.signal(Signal::INT)?;
    let pending = format!("/proc/{}/status", running.pid());
    eventually("the first is taken", || {
        let status = std::fs::read_to_string(&pending).ok()?;
        status.contains("ShdPnd:\t0000000000000000").then_some(())
    })?;
    // Passed on and ignored: only the tracer's own loop tells the first from the second.
    let second = Instant::now();
    running.signal(Signal::INT)?;
    let output = running.finish(LIMIT)?;
    expect(&output, 130, &["interrupted twice", "checkpoint"])?;
    ensure!(second.elapsed() < Duration::from_secs(30), "it took {:?}", second.elapsed());
    ensure!(!Recording::read(&partial)?.finished);
    ensure!(case.files()? == ["ready", "recording.json.partial"], "{:?}", case.files()?);
    ensure!(case.home.below().is_empty(), "{:?}", case.home.below());
    Ok(())
}
