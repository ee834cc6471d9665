//! From which call on a container is recorded, and whose each call is.

use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{BoundaryMethod, Origin, VDSO};

use crate::recorder::{Container, Recorder, docker, ensure_calls, image};
use crate::support::{self, Need, Trial};

/// What only a runtime calls, before it loads the filter.
const OF_THE_RUNTIME: [&str; 6] = ["mount", "umount2", "pivot_root", "keyctl", "sethostname", "capset"];
const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_a_container_that_starts", NEEDS, starts),
        support::test("record_a_container_that_ran_before", NEEDS, || {
            ran_before(|container| Ok(["--container".to_owned(), container.name.clone()]))
        }),
        support::test("record_a_container_by_a_process_of_it", NEEDS, || {
            ran_before(|container| {
                let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &container.name])?;
                Ok(["--pid".to_owned(), pid.trim().to_owned()])
            })
        }),
        support::test("record_a_container_that_lived_while_the_tracer_slept", NEEDS, lived_while_it_slept),
        support::test("record_what_docker_exec_runs_apart", NEEDS, joined),
    ]
}

/// From the filter on, each call with its origin; and the profile starts the container again.
fn starts() -> Result<()> {
    let script = "mkdir /x && chmod 700 /x && rmdir /x && echo done";
    let container = Container::named("starts");
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
    container.start(&[], script)?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(0)?;

    let recording = recorder.recording("recording.json")?;
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    ensure!(
        !recording.boundary.attached_late
            && recording.finished
            && recording.warnings.iter().all(|its| its.code == VDSO)
    );
    ensure!(recording.title() == container.name);
    let of_the_runtime = ["capset", "close", "execve", "setuid", "setgroups", "write"];
    let before = ["mount", "umount2", "pivot_root", "keyctl", "sethostname", "unshare"];
    ensure_calls(&recording, Origin::Runtime, &of_the_runtime, &before)?;
    let own = ["mkdir", "chmod", "rmdir", "write", "exit_group"];
    ensure_calls(&recording, Origin::Application, &own, &OF_THE_RUNTIME)?;
    ensure_calls(&recording, Origin::Joined, &[], &["execve", "mkdir"])?;

    let profile = format!("seccomp={}", recorder.path("profile.json").display());
    for _ in 0..5 {
        let run =
            ["run", "--rm", "--network", "none", "--security-opt", &profile, image()?, "sh", "-c", script];
        let said = docker(&run)?;
        ensure!(said == "done\n", "{said}");
    }
    Ok(())
}

/// What it called before is missing, and that is said; what it calls now is there.
fn ran_before(named: impl Fn(&Container) -> Result<[String; 2]>) -> Result<()> {
    let container = Container::named("ran-before");
    container
        .start(&[], "trap 'mkdir /late; exit' TERM; rm -f /early; echo up; while :; do sleep 0.05; done")?;
    container.until_said("up")?;
    let [option, value] = named(&container)?;
    let arguments = [&option, &value, "-o", "{}/profile.json", "--recording", "{}/recording.json"];
    let mut recorder = Recorder::ready(&arguments)?;
    docker(&["kill", "--signal", "TERM", &container.name])?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(0)?;
    // Once, with what to do, and in the recording in the same words.
    let said = recorder.said();
    ensure!(said.matches("attached late").count() == 1, "{said}");
    let recording = recorder.recording("recording.json")?;
    let late = recording.warnings.iter().find(|its| its.code == "attached-late");
    let told = late.map(|its| format!("warning: {}: {}\n", container.name, its.message)).unwrap_or_default();
    ensure!(said.contains(&told) && told.contains(&format!("docker restart {}", container.name)), "{told}");
    ensure!(recording.title() == container.name);
    ensure!(recording.boundary.attached_late && recording.boundary.method == BoundaryMethod::Unknown);
    ensure_calls(&recording, Origin::Application, &["mkdir", "exit_group"], &OF_THE_RUNTIME)?;
    ensure_calls(&recording, Origin::Runtime, &[], &["execve", "mkdir"])
}

/// Nothing is lost where the tracer is held up while a container starts, ends and is removed.
fn lived_while_it_slept() -> Result<()> {
    let container = Container::named("slept");
    let arguments = ["--wait", "--container", &container.name, "--recording", "{}/recording.json"];
    let mut recorder = Recorder::ready(&arguments)?;
    recorder.signal(Signal::STOP)?;
    container.start(&[], "mkdir /x")?;
    container.ends_well()?;
    container.remove()?;
    recorder.signal(Signal::CONT)?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    ensure!(recording.boundary.method == BoundaryMethod::Filter && !recording.boundary.attached_late);
    ensure_calls(&recording, Origin::Application, &["mkdir", "exit_group"], &OF_THE_RUNTIME)?;
    ensure_calls(&recording, Origin::Runtime, &["capset", "execve"], &["mkdir"])?;
    let all = recording.syscalls.values().flatten();
    ensure!(all.filter(|call| call.first_seen.is_none()).count() == 0, "a time is missing");
    Ok(())
}

/// What joins is told from the service, and takes nothing from it.
fn joined() -> Result<()> {
    let container = Container::named("joined");
    let arguments = ["--wait", "--container", &container.name, "--recording", "{}/recording.json"];
    let mut recorder = Recorder::ready(&arguments)?;
    container.start(&[], "trap 'chmod 700 /bin; exit' TERM; echo up; while :; do sleep 0.05; done")?;
    container.until_said("up")?;
    docker(&["exec", &container.name, "sh", "-c", "mkdir /x; chmod 755 /bin"])?;
    docker(&["kill", "--signal", "TERM", &container.name])?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    ensure_calls(&recording, Origin::Joined, &["mkdir", "chmod"], &[])?;
    ensure_calls(&recording, Origin::Application, &["chmod"], &["mkdir", "capset", "setgroups", "keyctl"])
}
