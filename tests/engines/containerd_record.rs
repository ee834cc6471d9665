//! `record` of containerd's containers: from which call on, under which names, and what is left out.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{FoundBy, Origin, Target};

use crate::containerd::cri::{Pod, Seccomp};
use crate::containerd::{Host, tracing_profile};
use crate::proof::command::until;
use crate::proof::container::unused_name;
use crate::recorder::{PATIENCE, Recorder, ensure_calls};
use crate::support::{Need, Trial, test};

/// What only a runtime calls, before it loads the filter.
const OF_THE_RUNTIME: [&str; 6] = ["mount", "umount2", "pivot_root", "keyctl", "sethostname", "capset"];
const NEEDS: &[Need] = &[Need::Kernel, Need::Containerd, Need::Runc, Need::Busybox];
const CRUN: &[Need] = &[Need::Kernel, Need::Containerd, Need::Crun, Need::Busybox];
const SCRIPT: &str = "mkdir /x && chmod 700 /x && rmdir /x && echo done";
const SERVICE: &str = "trap 'chmod 700 /bin; exit' TERM; touch /up; echo up; while :; do sleep 0.05; done";
/// Where the results of several go.
const FOLDERS: [&str; 4] = ["--output-dir", "{}", "--recording-dir", "{}"];
const FILES: [&str; 4] = ["-o", "{}/profile.json", "--recording", "{}/recording.json"];

/// The tests.
pub fn tests() -> Vec<Trial> {
    vec![
        test("record_containerd_pods", NEEDS, pods),
        test("record_containerd_by_the_kubelets_labels", NEEDS, labels),
        test("record_containerd_all_without_sandboxes", NEEDS, all),
        test("record_containerd_what_ctr_started_by_its_name", NEEDS, by_name),
        test("record_containerd_many_short_lived_containers", NEEDS, short_lived),
        test("record_containerd_in_a_new_namespace", NEEDS, new_namespace),
        test("record_containerd_an_unconfined_pod", NEEDS, unconfined),
        test("record_containerd_pods_that_nobody_can_name", NEEDS, gone),
        test("record_containerd_what_ran_before", NEEDS, ran_before),
        test("record_containerd_what_joins_apart", NEEDS, joined),
        test("record_containerd_while_it_restarts", NEEDS, restarts),
        test("record_containerd_that_hangs", NEEDS, hangs),
        test("record_containerd_under_crun", CRUN, crun),
    ]
}

/// Recorded from the filter on, whole, and with nothing to warn of.
fn is_exact(recorder: &Recorder, name: &str, title: &str, before: &[&str]) -> Result<()> {
    let recording = recorder.recording(name)?;
    ensure!(recording.boundary.found_by == FoundBy::Filter, "{:?}", recording.boundary);
    ensure!(!recording.boundary.attached_late && recording.finished, "{:?}", recording.boundary);
    ensure!(recording.warnings.is_empty() && recording.title() == title, "{:?}", recording.warnings);
    ensure_calls(&recording, Origin::Runtime, &["execve"], &["mount", "pivot_root", "mkdir"])?;
    ensure_calls(&recording, Origin::Application, &["mkdir", "chmod", "rmdir", "exit_group"], before)?;
    ensure_calls(&recording, Origin::Joined, &[], &["execve", "mkdir"])
}

/// Waits until a container of ctr has begun its service. `ctr run` is back before its first call.
fn is_up(host: &Host, name: &str) -> Result<()> {
    let file = host.path(&format!("io.containerd.runtime.v2.task/default/{name}/rootfs/up"));
    until(PATIENCE, &file, || Ok(Path::new(&file).exists().then_some(())))
}

/// The pod and nothing beside it; and the profile starts the container again, as one that is local to the host.
fn pods() -> Result<()> {
    let host = Host::start()?;
    let tracing = tracing_profile(&host)?.display().to_string();
    for seccomp in [Seccomp::Default, Seccomp::Localhost(&tracing)] {
        let recorder = host.recorder(&[&["--pod", "default/web-*"], &FOLDERS[..]].concat())?;
        let run = |namespace: &str, pod: &str, name: &str| {
            let pod = Pod::start(&host, namespace, pod)?;
            let id = pod.run(name, SCRIPT, seccomp, &[])?;
            pod.ends_well(&id)
        };
        run("default", "web-1", "app")?;
        run("default", "other-1", "other")?;
        run("team", "web-2", "foreign")?;
        let mut recorder = recorder;
        recorder.interrupt()?;
        let written: BTreeSet<_> = recorder.written()?.into_iter().collect();
        ensure!(written == ["app.json", "app.recording.json"].map(str::to_owned).into(), "{written:?}");
        is_exact(&recorder, "app.recording.json", "app", &OF_THE_RUNTIME)?;
        let recording = recorder.recording("app.recording.json")?;
        let Target::Container(container) = &recording.target else { anyhow::bail!("no container") };
        let pod = container.pod.as_ref().map(|pod| (pod.namespace.as_deref(), pod.name.as_str()));
        ensure!(container.engine == "containerd" && pod == Some((Some("default"), "web-1")), "{container:?}");
        let profile = recorder.path("app.json").display().to_string();
        for round in 0..5 {
            let pod = Pod::start(&host, "default", &format!("again-{round}"))?;
            let id = pod.run("app", SCRIPT, Seccomp::Localhost(&profile), &[])?;
            pod.ends_well(&id)?;
            pod.until_said("app", "done")?;
        }
    }
    Ok(())
}

fn labels() -> Result<()> {
    let host = Host::start()?;
    let by_name = ["--label", "io.kubernetes.container.name=one", "--label", "tier=front"];
    let mut recorder = host.recorder(&[&by_name, &FOLDERS[..]].concat())?;
    let pod = Pod::start(&host, "default", "web-1")?;
    for (name, labels) in [("one", &[][..]), ("two", &[("tier", "front")]), ("three", &[("tier", "back")])] {
        let id = pod.run(name, SCRIPT, Seccomp::Default, labels)?;
        pod.ends_well(&id)?;
    }
    recorder.interrupt()?;
    let expected = ["one.json", "one.recording.json", "two.json", "two.recording.json"];
    ensure!(recorder.written()? == expected.map(str::to_owned).into(), "{:?}", recorder.written()?);
    is_exact(&recorder, "two.recording.json", "two", &OF_THE_RUNTIME)
}

/// A sandbox starts while we watch, another one was there before; neither is anybody's application.
fn all() -> Result<()> {
    let host = Host::start()?;
    let early = Pod::start(&host, "default", "early")?;
    let late = early.run("late", SERVICE, Seccomp::Default, &[])?;
    early.until_said("late", "up")?;
    let mut recorder = host.recorder(&[&["--all"], &FOLDERS[..]].concat())?;
    let pod = Pod::start(&host, "default", "web-1")?;
    let id = pod.run("app", SCRIPT, Seccomp::Default, &[])?;
    pod.ends_well(&id)?;
    let name = unused_name("all");
    host.run(&["--rm", "--seccomp"], &name, SCRIPT)?;
    early.stop(&late, PATIENCE)?;
    drop(pod);
    recorder.interrupt()?;
    is_exact(&recorder, "app.recording.json", "app", &OF_THE_RUNTIME)?;
    is_exact(&recorder, &format!("{name}.recording.json"), &name, &OF_THE_RUNTIME)?;
    let written = recorder.written()?;
    ensure!(written.contains("late.recording.json"), "{written:?}");
    for sandbox in [&early.sandbox, "POD", "pause"] {
        let short = sandbox.get(..12).unwrap_or(sandbox);
        ensure!(!written.iter().any(|file| file.contains(short)), "{written:?}");
        ensure!(!recorder.said().contains(short), "{}", recorder.said());
    }
    Ok(())
}

/// Under containerd's profile, under ours, and under none; each ends by itself when its container is removed.
fn by_name() -> Result<()> {
    let host = Host::start()?;
    let tracing = tracing_profile(&host)?.display().to_string();
    let profiles = [
        (&["--seccomp"][..], FoundBy::Filter),
        (&["--seccomp", "--seccomp-profile", &tracing], FoundBy::Filter),
        (&[], FoundBy::Estimated),
    ];
    for (options, found_by) in profiles {
        let name = unused_name("by-name");
        let mut recorder = host.recorder(&[&["--wait", "--container", &name], &FILES[..]].concat())?;
        ensure!(host.run(&[&["--rm"], options].concat(), &name, SCRIPT)? == "done\n");
        recorder.ends_with(0)?;
        let recording = recorder.recording("recording.json")?;
        ensure!(recording.boundary.found_by == found_by, "{options:?}: {:?}", recording.boundary);
        let Target::Container(container) = &recording.target else { anyhow::bail!("no container") };
        ensure!(container.id == format!("default/{name}") && container.name == name, "{container:?}");
        ensure_calls(&recording, Origin::Application, &["mkdir", "chmod", "rmdir"], &OF_THE_RUNTIME)?;
        let profile = recorder.path("profile.json").display().to_string();
        for _ in 0..5 {
            let options = ["--rm", "--seccomp", "--seccomp-profile", &profile];
            ensure!(host.run(&options, &unused_name("again"), SCRIPT)? == "done\n");
        }
    }
    Ok(())
}

/// 20 of them, 8 at a time: each under its own name, with its own call.
fn short_lived() -> Result<()> {
    const COUNT: usize = 20;
    const AT_ONCE: usize = 8;
    let host = Host::start()?;
    let prefix = unused_name("short");
    let pattern = format!("{prefix}-*");
    let mut recorder = host.recorder(&[&["--container", &pattern], &FOLDERS[..]].concat())?;
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= COUNT {
                        return;
                    }
                    let script = if number % 2 == 0 { "mkdir /x" } else { "chmod 700 /bin" };
                    let options = ["--rm", "--seccomp"];
                    if let Err(error) = host.run(&options, &format!("{prefix}-{number}"), script) {
                        failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(error);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    ensure!(failures.is_empty(), "{failures:?}");
    recorder.interrupt()?;
    let files = |number| [format!("{prefix}-{number}.json"), format!("{prefix}-{number}.recording.json")];
    let expected: BTreeSet<_> = (0..COUNT).flat_map(files).collect();
    ensure!(recorder.written()? == expected, "{:?}; {}", recorder.written()?, recorder.said());
    for number in 0..COUNT {
        let recording = recorder.recording(&format!("{prefix}-{number}.recording.json"))?;
        let (own, others) = if number % 2 == 0 { ("mkdir", "chmod") } else { ("chmod", "mkdir") };
        ensure!(recording.title() == format!("{prefix}-{number}"), "{}", recording.title());
        ensure!(recording.boundary.found_by == FoundBy::Filter, "{number}: {:?}", recording.boundary);
        ensure_calls(&recording, Origin::Application, &[own, "exit_group"], &[others, "mount"])?;
        ensure_calls(&recording, Origin::Runtime, &["execve"], &[own])?;
    }
    Ok(())
}

/// Made while we watch; and while we sleep, when all the news of it come at once.
fn new_namespace() -> Result<()> {
    let host = Host::start()?;
    for sleeps in [false, true] {
        let name = unused_name("new");
        let namespace = format!("new-{sleeps}");
        let mut recorder = host.recorder(&[&["--wait", "--container", &name], &FILES[..]].concat())?;
        if sleeps {
            recorder.signal(Signal::STOP)?;
        }
        host.import(&namespace)?;
        host.run_in(&namespace, &["--rm", "--seccomp"], &name, SCRIPT)?;
        recorder.signal(Signal::CONT)?;
        recorder.ends_with(0)?;
        is_exact(&recorder, "recording.json", &name, &OF_THE_RUNTIME)?;
        let recording = recorder.recording("recording.json")?;
        let Target::Container(container) = &recording.target else { anyhow::bail!("no container") };
        ensure!(container.id == format!("{namespace}/{name}"), "{container:?}");
    }
    Ok(())
}

/// As a kubelet starts a container without `seccompProfile`.
fn unconfined() -> Result<()> {
    let host = Host::start()?;
    let mut recorder = host.recorder(&[&["--pod", "default/web-1"], &FOLDERS[..]].concat())?;
    let pod = Pod::start(&host, "default", "web-1")?;
    let id = pod.run("app", SCRIPT, Seccomp::Unconfined, &[])?;
    pod.ends_well(&id)?;
    recorder.interrupt()?;
    let recording = recorder.recording("app.recording.json")?;
    ensure!(recording.boundary.found_by == FoundBy::Estimated, "{:?}", recording.boundary);
    ensure_calls(&recording, Origin::Application, &["mkdir", "chmod", "exit_group"], &OF_THE_RUNTIME)?;
    let profile = recorder.path("app.json").display().to_string();
    for round in 0..5 {
        let pod = Pod::start(&host, "default", &format!("again-{round}"))?;
        let id = pod.run("app", SCRIPT, Seccomp::Localhost(&profile), &[])?;
        pod.ends_well(&id)?;
    }
    Ok(())
}

/// Made and removed while we sleep: its events have no name, and nobody else has it any more.
fn gone() -> Result<()> {
    let host = Host::start()?;
    let mut recorder = host.recorder(&[&["--pod", "default/web-1"], &FOLDERS[..]].concat())?;
    recorder.signal(Signal::STOP)?;
    let pod = Pod::start(&host, "default", "web-1")?;
    let id = pod.run("app", SCRIPT, Seccomp::Default, &[])?;
    pod.ends_well(&id)?;
    drop(pod);
    recorder.signal(Signal::CONT)?;
    recorder.until_said("was removed before it could be asked for")?;
    recorder.signal(Signal::INT)?;
    recorder.ends_with(2)?;
    recorder.ensure_said(&format!("the container {id} ran, and the engine never said what it is"))?;
    let recording = recorder.recording(&format!("{}.recording.json", &id[..12]))?;
    ensure!(recording.boundary.found_by == FoundBy::Filter, "{:?}", recording.boundary);
    ensure_calls(&recording, Origin::Application, &["mkdir", "chmod"], &OF_THE_RUNTIME)
}

/// What it called before is missing, and that is said; what it calls now is there.
fn ran_before() -> Result<()> {
    let host = Host::start()?;
    let pod = Pod::start(&host, "default", "web-1")?;
    let id = pod.run("app", SERVICE, Seccomp::Default, &[])?;
    pod.until_said("app", "up")?;
    let name = unused_name("ran-before");
    host.run(&["--detach", "--seccomp"], &name, SERVICE)?;
    is_up(&host, &name)?;
    let both = ["--container", &id, "--container", &name];
    let mut recorder = host.recorder(&[&both[..], &FOLDERS].concat())?;
    recorder.ensure_said("app was running before")?;
    recorder.ensure_said(&format!("{name} was running before"))?;
    pod.stop(&id, PATIENCE)?;
    drop(pod);
    host.ctr(&["tasks", "kill", "--signal", "TERM", &name])?;
    // Both have ended, and are known by their own names.
    recorder.ends_with(0)?;
    for name in ["app", &name] {
        let recording = recorder.recording(&format!("{name}.recording.json"))?;
        ensure!(recording.boundary.attached_late && recording.boundary.found_by == FoundBy::Unknown);
        ensure_calls(&recording, Origin::Application, &["chmod", "exit_group"], &["utimensat"])?;
        ensure_calls(&recording, Origin::Application, &[], &OF_THE_RUNTIME)?;
    }
    Ok(())
}

/// A kubelet's probes and `kubectl exec` are told from the service; `ctr tasks exec` as well.
fn joined() -> Result<()> {
    let host = Host::start()?;
    let name = unused_name("joined");
    let both = ["--wait", "--pod", "default/web-1", "--container", &name];
    let mut recorder = host.recorder(&[&both, &FOLDERS[..]].concat())?;
    let pod = Pod::start(&host, "default", "web-1")?;
    let id = pod.run("app", SERVICE, Seccomp::Default, &[])?;
    pod.until_said("app", "up")?;
    ensure!(pod.exec(&id, &["sh", "-c", "mkdir /x && echo made"])? == "made\n");
    pod.stop(&id, PATIENCE)?;
    host.run(&["--detach", "--seccomp"], &name, SERVICE)?;
    let exec = ["tasks", "exec", "--exec-id", "joined", &name, "sh", "-c", "mkdir /x"];
    is_up(&host, &name)?;
    host.ctr(&exec)?;
    host.ctr(&["tasks", "kill", "--signal", "TERM", &name])?;
    until(PATIENCE, "its end", || Ok(host.ctr(&["tasks", "delete", &name]).ok()))?;
    recorder.interrupt()?;
    for name in ["app", &name] {
        let recording = recorder.recording(&format!("{name}.recording.json"))?;
        ensure!(recording.boundary.found_by == FoundBy::Filter, "{:?}", recording.boundary);
        ensure_calls(&recording, Origin::Joined, &["mkdir"], &[])?;
        ensure_calls(&recording, Origin::Application, &["chmod"], &["mkdir", "capset", "keyctl"])?;
    }
    Ok(())
}

/// What runs is recorded on, and what starts afterwards is named.
fn restarts() -> Result<()> {
    let mut host = Host::start()?;
    let prefix = unused_name("restart");
    let pattern = format!("{prefix}-*");
    let mut recorder = host.recorder(&[&["--container", &pattern], &FOLDERS[..]].concat())?;
    let (before, after) = (format!("{prefix}-before"), format!("{prefix}-after"));
    host.run(&["--detach", "--seccomp"], &before, SERVICE)?;
    is_up(&host, &before)?;
    host.stop()?;
    recorder.until_said("away")?;
    host.start_again()?;
    recorder.until_said("answers again")?;
    host.run(&["--rm", "--seccomp"], &after, SCRIPT)?;
    host.ctr(&["tasks", "kill", "--signal", "TERM", &before])?;
    until(PATIENCE, "its end", || Ok(host.ctr(&["tasks", "delete", &before]).ok()))?;
    recorder.interrupt()?;
    is_exact(&recorder, &format!("{after}.recording.json"), &after, &OF_THE_RUNTIME)?;
    let recording = recorder.recording(&format!("{before}.recording.json"))?;
    ensure!(recording.boundary.found_by == FoundBy::Filter && !recording.boundary.attached_late);
    ensure_calls(&recording, Origin::Application, &["chmod", "utimensat"], &OF_THE_RUNTIME)
}

/// At the start, an error; later, what is known is written.
fn hangs() -> Result<()> {
    let host = Host::start()?;
    let name = unused_name("hangs");
    let asked = ["--verbose", "--wait", "--container", &name];
    let mut recorder = host.recorder(&[&asked, &FILES[..]].concat())?;
    host.run(&["--detach", "--seccomp"], &name, SERVICE)?;
    is_up(&host, &name)?;
    recorder.until_said(&format!("recording {name}"))?;
    host.signal(Signal::STOP)?;
    let mut second = host.recorder_started(&["--all", "--output-dir", "{}"])?;
    second.ends_with(2)?;
    second.ensure_said("no answer in time")?;
    recorder.signal(Signal::INT)?;
    let ended = recorder.status();
    host.signal(Signal::CONT)?;
    // 2 where another engine's container has come, which nobody has named either.
    ensure!(matches!(ended?, Some(0 | 2)), "{}", recorder.said());
    let recording = recorder.recording("recording.json")?;
    ensure!(recording.title() == name, "{}", recording.title());
    ensure_calls(&recording, Origin::Application, &["utimensat"], &OF_THE_RUNTIME)
}

/// By its path in the runtime's options, for pods and for ctr.
fn crun() -> Result<()> {
    let host = Host::under_crun()?;
    let crun = host.path("crun");
    let name = unused_name("crun");
    let both = ["--wait", "--pod", "default/web-1", "--container", &name];
    let mut recorder = host.recorder(&[&both, &FOLDERS[..]].concat())?;
    let pod = Pod::start(&host, "default", "web-1")?;
    let id = pod.run("app", SCRIPT, Seccomp::Default, &[])?;
    pod.ends_well(&id)?;
    host.run(&["--rm", "--seccomp", "--runc-binary", &crun], &name, SCRIPT)?;
    recorder.interrupt()?;
    for name in ["app", &name] {
        let file = format!("{name}.recording.json");
        is_exact(&recorder, &file, name, &["mount", "pivot_root", "sethostname"])?;
        let recording = recorder.recording(&file)?;
        let Target::Container(container) = &recording.target else { anyhow::bail!("no container") };
        ensure!(container.runtime.as_deref() == Some("crun"), "{container:?}");
    }
    let profile = recorder.path("app.json").display().to_string();
    for round in 0..5 {
        let pod = Pod::start(&host, "default", &format!("again-{round}"))?;
        let id = pod.run("app", SCRIPT, Seccomp::Localhost(&profile), &[])?;
        pod.ends_well(&id)?;
    }
    Ok(())
}
