//! Podman's service: the one that `record` starts where no socket is up, and one of the host's that ends or hangs.

use std::collections::BTreeSet;
use std::fs;

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use seccomp_trace::recording::{BoundaryMethod, Origin};

use crate::container_matrix::command::until;
use crate::podman::Podman;
use crate::recorder::{IMAGE, PATIENCE, Recorder, ensure_calls};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Podman, Need::Busybox, Need::Runc];
const ONE: [&str; 6] = ["--wait", "--container", "web", "--recording", "{}/recording.json", "--verbose"];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("podman_service_of_our_own_is_started_anew", NEEDS, started_anew),
        support::test("podman_service_of_our_own_goes_with_us", NEEDS, goes_with_us),
        support::test("podman_service_of_the_host_ends_and_comes_back", NEEDS, comes_back),
        support::exclusive("podman_service_of_the_host_hangs", NEEDS, hangs),
        support::test("podman_service_can_not_be_started", NEEDS, can_not_be_started),
    ]
}

/// The child that listens: the only one of `record` without a command.
fn service_of(recorder: &Recorder) -> Result<Pid> {
    until(PATIENCE, "a service", || {
        let parent = recorder.pid().as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        let mut children = children.split_whitespace().filter_map(|child| child.parse().ok());
        let is_podman = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).starts_with("podman\0system\0service\0--time=0\0unix://")
        };
        Ok(children.find(is_podman).and_then(Pid::from_raw))
    })
}

/// It is killed; a container that ran meanwhile has its name all the same.
fn started_anew() -> Result<()> {
    let podman = Podman::with("runc")?;
    let all = ["--all", "--output-dir", "{}", "--recording-dir", "{}"];
    let mut recorder = podman.ready(&all)?;
    let first = service_of(&recorder)?;
    kill_process(first, Signal::KILL)?;
    recorder.until_said("lost the connection to podman")?;
    podman.run(&["run", "--rm", "--network=none", "--name=instant", IMAGE, "mkdir", "/x"])?;
    recorder.until_said("reconnected to podman")?;
    ensure!(service_of(&recorder)? != first);
    podman.run(&["run", "--rm", "--network=none", "--name=after", IMAGE, "mkdir", "/x"])?;
    recorder.interrupt()?;
    let files = |name: &str| [format!("{name}.json"), format!("{name}.recording.json")];
    let expected: BTreeSet<_> = ["instant", "after"].into_iter().flat_map(files).collect();
    ensure!(recorder.written()? == expected, "{:?}; it said: {}", recorder.written()?, recorder.said());
    let recording = recorder.recording("instant.recording.json")?;
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    ensure_calls(&recording, Origin::Application, &["mkdir"], &["mount"])
}

/// However `record` ends, nothing of it is left: no process, no folder.
fn goes_with_us() -> Result<()> {
    let podman = Podman::with("runc")?;
    let temporary = support::temp_dir()?;
    let place = temporary.path().display().to_string();
    for signal in [Signal::INT, Signal::KILL] {
        let mut recorder = podman.record_with(&ONE, &[("TMPDIR", &place)])?;
        recorder.until_said("note: ready")?;
        let service = service_of(&recorder)?;
        // A Ctrl-C in a terminal goes to the whole group, and we still ask at the end.
        let groups = [service, recorder.pid()].map(|pid| rustix::process::getpgid(Some(pid)));
        let [Ok(its), Ok(ours)] = groups else { bail!("{groups:?}") };
        ensure!(its != ours, "it would be interrupted with us");
        // Nobody else can connect.
        let left: Vec<_> = fs::read_dir(temporary.path())?.collect();
        ensure!(left.is_empty(), "{left:?}");
        recorder.signal(signal)?;
        recorder.status()?;
        until(PATIENCE, "the service's end", || Ok(test_kill_process(service).is_err().then_some(())))?;
        let left: Vec<_> = fs::read_dir(temporary.path())?.collect();
        ensure!(left.is_empty(), "{signal:?}: {left:?}");
    }
    Ok(())
}

/// One at `CONTAINER_HOST`: it is asked again until it answers, and none of our own is started.
fn comes_back() -> Result<()> {
    let podman = Podman::with("runc")?;
    let served = podman.serve()?;
    let mut recorder = podman.record_with(&ONE, &[("CONTAINER_HOST", &served.host())])?;
    recorder.until_said("note: ready")?;
    drop(served);
    recorder.until_said("lost the connection to podman")?;
    podman.start("web", &[], "mkdir /x")?;
    podman.ends_well("web")?;
    fs::remove_file(podman.path("podman.sock"))?;
    let _served = podman.serve()?;
    recorder.until_said("reconnected to podman")?;
    podman.run(&["rm", "web"])?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    ensure!(recording.title() == "web" && recording.boundary.method == BoundaryMethod::Filter);
    ensure_calls(&recording, Origin::Application, &["mkdir"], &["mount"])
}

/// What runs is recorded on, and the end comes in time.
fn hangs() -> Result<()> {
    let podman = Podman::with("runc")?;
    let served = podman.serve()?;
    let mut recorder = podman.record_with(&ONE, &[("CONTAINER_HOST", &served.host())])?;
    recorder.until_said("note: ready")?;
    podman.start("web", &[], "echo up; trap 'mkdir /x; exit' TERM; while :; do sleep 0.05; done")?;
    podman.until_said("web", "up")?;
    recorder.until_said("recording web")?;
    served.signal(Signal::STOP)?;
    podman.run(&["kill", "--signal", "TERM", "web"])?;
    podman.ends_well("web")?;
    recorder.signal(Signal::INT)?;
    // Another test's container may start meanwhile: nobody can say that it is not asked for, and that is trouble.
    let status = recorder.status()?;
    ensure!(matches!(status, Some(0 | 2)), "{status:?}; it said: {}", recorder.said());
    ensure_calls(&recorder.recording("recording.json")?, Origin::Application, &["mkdir"], &["mount"])?;
    // One that hangs from the start on is an error.
    let mut recorder = podman.record_with(&ONE, &[("CONTAINER_HOST", &served.host())])?;
    recorder.ends_with(2)?;
    recorder.ensure_said("no answer in time")?;
    recorder.ensure_said(&served.host())
}

/// Without the program, and with one that fails: what is wrong is said, soon.
fn can_not_be_started() -> Result<()> {
    let podman = Podman::with("runc")?;
    let folder = support::temp_dir()?;
    let place = folder.path().display().to_string();
    let mut recorder = podman.record_with(&ONE, &[("PATH", &place)])?;
    recorder.ends_with(2)?;
    recorder.ensure_said("podman is not here: there is neither a socket of it nor a program `podman`")?;
    let configuration = podman.path("storage.conf");
    let good = fs::read_to_string(&configuration)?;
    fs::write(&configuration, "[storage]\ndriver=\"vfs\"\n")?;
    let began = std::time::Instant::now();
    let mut recorder = podman.record(&ONE)?;
    recorder.ends_with(2)?;
    recorder.ensure_said("podman system service has ended")?;
    recorder.ensure_said("runroot must be set")?;
    ensure!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // What it has is removed by it.
    fs::write(&configuration, good).context("its storage")
}
