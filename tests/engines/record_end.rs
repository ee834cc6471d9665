//! When a recording ends, with which exit code, and that everything is written then.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{Origin, Recording};

use crate::container_matrix::command::{output, until};
use crate::recorder::{Container, PATIENCE, Recorder, docker, ensure_calls};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];
/// A service that does nothing.
const SERVICE: &str = "mkdir /x; echo up; while :; do sleep 0.05; done";

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_ends_with_its_command_and_its_status", NEEDS, with_the_command),
        support::test("record_ends_when_the_time_is_over", NEEDS, after_a_time),
        support::test("record_ends_when_the_container_stays_stopped", NEEDS, stays_stopped),
        support::test("record_goes_on_after_a_restart", NEEDS, restart),
        support::test("record_ends_by_ctrl_c", NEEDS, ctrl_c),
        support::test("record_killed_leaves_a_checkpoint", NEEDS, killed),
    ]
}

/// The folder has a profile and a whole recording with this call.
fn ensure_written(recorder: &Recorder, call: &str) -> Result<()> {
    ensure!(recorder.path("profile.json").exists(), "no profile; it said: {}", recorder.said());
    let recording = recorder.recording("recording.json")?;
    ensure!(recording.finished);
    ensure!(!recorder.path("recording.json.partial").exists(), "the checkpoint is left");
    ensure_calls(&recording, Origin::Application, &[call], &["mount", "pivot_root"])
}

fn arguments<'a>(container: &'a Container, further: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--container", &container.name, "-o", "{}/profile.json", "--recording", "{}/recording.json"];
    [&fixed, further].concat()
}

/// The container may run on; the tests' own status is the answer.
fn with_the_command() -> Result<()> {
    for code in [0, 3] {
        let container = Container::named("command");
        let script = format!("{SERVICE} & echo up; wait");
        container.start(&[], &script)?;
        container.until_said("up")?;
        let tests = format!(
            "{} exec {} sh -c 'mkdir /y' && exit {code}",
            support::docker().get_program().display(),
            container.name
        );
        let mut recorder = Recorder::start(&arguments(&container, &["--", "sh", "-c", &tests]))?;
        recorder.ends_with(code)?;
        ensure!(recorder.path("profile.json").exists(), "no profile; it said: {}", recorder.said());
        ensure_calls(&recorder.recording("recording.json")?, Origin::Joined, &["mkdir"], &[])?;
    }
    Ok(())
}

fn after_a_time() -> Result<()> {
    let container = Container::named("time");
    let start = Instant::now();
    let mut recorder = Recorder::ready(&arguments(&container, &["--duration", "4s"]))?;
    container.start(&[], SERVICE)?;
    container.until_said("up")?;
    recorder.ends_with(0)?;
    ensure!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
    ensure_written(&recorder, "mkdir")
}

/// Nobody removes it: it has ended all the same, but not at once.
fn stays_stopped() -> Result<()> {
    let container = Container::named("stopped");
    let mut recorder = Recorder::ready(&arguments(&container, &["--wait"]))?;
    container.start(&[], "mkdir /x")?;
    container.ends_well()?;
    let stopped = Instant::now();
    recorder.ends_with(0)?;
    let after = stopped.elapsed();
    ensure!((4..20).contains(&after.as_secs()), "{after:?} after its end");
    ensure_written(&recorder, "mkdir")
}

/// Two lives of one container, and one recording.
fn restart() -> Result<()> {
    let container = Container::named("restart");
    let mut recorder = Recorder::ready(&arguments(&container, &["--wait"]))?;
    let script = "if [ -e /x ]; then chmod 700 /x; else mkdir /x; fi; echo up; while :; do sleep 0.05; done";
    container.start(&[], script)?;
    container.until_said("up")?;
    docker(&["restart", "--time", "0", &container.name])?;
    until(PATIENCE, "its second life", || {
        Ok((docker(&["logs", &container.name])?.matches("up").count() == 2).then_some(()))
    })?;
    container.remove()?;
    recorder.ends_with(0)?;
    ensure_written(&recorder, "mkdir")?;
    ensure_written(&recorder, "chmod")?;
    ensure!(!recorder.recording("recording.json")?.boundary.attached_late);
    Ok(())
}

fn ctrl_c() -> Result<()> {
    let container = Container::named("ctrl-c");
    let mut recorder = Recorder::ready(&arguments(&container, &["--wait"]))?;
    container.start(&[], SERVICE)?;
    container.until_said("up")?;
    recorder.interrupt()?;
    ensure_written(&recorder, "mkdir")
}

/// What was called a second ago is in the checkpoint, which is a recording like any other.
fn killed() -> Result<()> {
    let container = Container::named("killed");
    let mut recorder = Recorder::ready(&arguments(&container, &["--wait"]))?;
    container.start(&[], "echo up; trap 'mkdir /x; echo made' TERM; while :; do sleep 0.05; done")?;
    container.until_said("up")?;
    let checkpoint = recorder.path("recording.json.partial");
    until(PATIENCE, "the first checkpoint", || Ok(checkpoint.exists().then_some(())))?;
    docker(&["kill", "--signal", "TERM", &container.name])?;
    container.until_said("made")?;
    let made = Instant::now();
    let has_it = || -> Result<bool> {
        let recording = Recording::read(&checkpoint)?;
        ensure!(!recording.finished, "a checkpoint says that it is whole");
        Ok(ensure_calls(&recording, Origin::Application, &["mkdir"], &[]).is_ok())
    };
    until(PATIENCE, "mkdir in the checkpoint", || Ok(has_it()?.then_some(())))?;
    // A second, and what a busy machine adds.
    ensure!(made.elapsed() < Duration::from_secs(4), "{:?} later", made.elapsed());
    recorder.signal(Signal::KILL)?;
    recorder.is_killed()?;
    ensure!(has_it()? && !recorder.path("recording.json").exists());
    let profile =
        output(support::program().args(["generate", "--allow-incomplete"]).arg(&checkpoint), PATIENCE)?;
    ensure!(profile.contains("\"mkdir\""), "{profile}");
    Ok(())
}
