//! What `record` can't do, or not exactly: one clear message, the right exit code, and nothing left behind.

use anyhow::{Result, ensure};
use seccomp_trace::recording::{BoundaryMethod, Origin};

use crate::container_matrix::container::unused_name;
use crate::recorder::{Container, Recorder, docker, ensure_calls, image};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];
const UNCONFINED: &[&str] = &["--security-opt", "seccomp=unconfined"];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_an_unconfined_container_by_its_application", NEEDS, unconfined),
        support::test("record_strict_takes_nothing_less_than_exact", NEEDS, strict),
        support::test("record_suggests_a_name_that_is_nearly_right", NEEDS, nearly_right),
        support::test("record_says_what_never_appeared", NEEDS, never_appeared),
        support::test("record_without_docker_starts_nothing", &[Need::Kernel], no_docker),
        support::test("record_shows_no_strangers_control_characters", NEEDS, control_characters),
    ]
}

/// Without a filter: from the application's exec on, with what its runtime needs added, and a warning.
fn unconfined() -> Result<()> {
    let container = Container::named("unconfined");
    let arguments = [
        "--wait",
        "--container",
        &container.name,
        "-o",
        "{}/profile.json",
        "--recording",
        "{}/recording.json",
    ];
    let mut recorder = Recorder::ready(&arguments)?;
    container.start(UNCONFINED, "mkdir /x && rmdir /x")?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(0)?;
    recorder.ensure_said("seccomp-trace tracing-profile")?;
    let recording = recorder.recording("recording.json")?;
    ensure!(recording.boundary.method == BoundaryMethod::Estimated, "{:?}", recording.boundary);
    ensure!(recording.warnings.iter().any(|warning| warning.code == "estimated"), "{:?}", recording.warnings);
    let of_the_runtime = [
        "mount",
        "umount2",
        "pivot_root",
        "keyctl",
        "capset",
        "setgroups",
        "sethostname",
        "unshare",
        "setns",
    ];
    ensure_calls(&recording, Origin::Application, &["mkdir", "rmdir", "exit_group"], &of_the_runtime)?;
    let profile = format!("seccomp={}", recorder.path("profile.json").display());
    for _ in 0..5 {
        let run = ["run", "--rm", "--network", "none", "--security-opt", &profile, image()?];
        docker(&[&run[..], &["sh", "-c", "mkdir /x && rmdir /x"]].concat())?;
    }
    Ok(())
}

/// The files are written all the same.
fn strict() -> Result<()> {
    let estimated = Container::named("estimated");
    let arguments = ["--strict", "--wait", "--container", &estimated.name, "-o", "{}/profile.json"];
    let mut recorder = Recorder::ready(&arguments)?;
    estimated.start(UNCONFINED, "mkdir /x")?;
    estimated.ends_well()?;
    estimated.remove()?;
    recorder.ends_with(2)?;
    recorder.ensure_said("its boundary is estimated, and --strict")?;
    ensure!(recorder.path("profile.json").exists());

    let late = Container::named("late");
    late.start(&[], "echo up; while :; do sleep 0.05; done")?;
    late.until_said("up")?;
    let arguments = ["--strict", "--container", &late.name, "-o", "{}/profile.json", "--", "sleep", "0.3"];
    let mut recorder = Recorder::start(&arguments)?;
    recorder.ends_with(125)?;
    recorder.ensure_said("attached late, and --strict")?;
    ensure!(recorder.path("profile.json").exists());
    Ok(())
}

fn nearly_right() -> Result<()> {
    let container = Container::named("web");
    docker(&["create", "--name", &container.name, image()?, "true"])?;
    let mistyped = container.name.replace("web", "wbe");
    let mut recorder = Recorder::start(&["--container", &mistyped, "-o", "{}/profile.json"])?;
    recorder.ends_with(2)?;
    recorder.ensure_said(&format!("{mistyped}: no such container; did you mean {}", container.name))?;
    ensure!(recorder.written()?.is_empty());
    Ok(())
}

fn never_appeared() -> Result<()> {
    let name = unused_name("never");
    let waiting = ["--container", &name, "-o", "{}/profile.json"];
    for (further, code) in [(["--duration", "1s"], 2), (["--", "true"], 125)] {
        let mut recorder = Recorder::start(&[&waiting[..], &further].concat())?;
        recorder.ends_with(code)?;
        recorder.ensure_said("waiting for it")?;
        recorder.ensure_said(&format!("{name}: never appeared"))?;
        ensure!(recorder.written()?.is_empty());
    }
    Ok(())
}

fn no_docker() -> Result<()> {
    let nowhere = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let arguments = ["--engine", "docker", "--container", "web", "-o", "{}/profile.json"];
    for (further, code) in [(&["--wait"][..], 2), (&["--", "touch", "{}/started.json"], 125)] {
        let mut recorder = Recorder::start_with(&[&arguments[..], further].concat(), &nowhere)?;
        recorder.ends_with(code)?;
        recorder.ensure_said("/nonexistent/docker.sock")?;
        ensure!(recorder.written()?.is_empty(), "{:?}", recorder.written());
        ensure!(recorder.said().lines().count() == 1, "{}", recorder.said());
    }
    Ok(())
}

/// Names, labels and commands are strangers' words.
fn control_characters() -> Result<()> {
    let container = Container::named("hostile");
    let label = format!("{}=\u{1b}[31mred\u{7}", container.name);
    let key = &container.name;
    let mut recorder =
        Recorder::ready(&["--verbose", "--label", key, "--label", &label, "--output-dir", "{}"])?;
    container.start(&["--label", &label], "exec sleep 0.1 #\u{1b}[2J")?;
    container.ends_well()?;
    recorder.interrupt()?;
    let mut mistyped = Recorder::start(&["--container", "\u{1b}[2Jnobody", "-o", "{}/profile.json"])?;
    mistyped.ends_with(2)?;
    for said in [recorder.said(), mistyped.said()] {
        ensure!(said.contains(key.as_str()) || said.contains("nobody"), "{said}");
        let is_control = |char: char| char.is_control() && char != '\n';
        ensure!(!said.contains(is_control), "{said:?}");
    }
    ensure!(recorder.written()?.contains(&format!("{key}.json")), "{:?}", recorder.written());
    Ok(())
}
