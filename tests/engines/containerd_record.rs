//! `record` of containerd's containers: from which call on, under which names, and what is left out.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, bail, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{BoundaryMethod, Origin, Target};

use crate::container_matrix::command::until;
use crate::container_matrix::container::unused_name;
use crate::containerd::cri::{Pod, Seccomp};
use crate::containerd::expect::{APP, FILES, FOLDERS, OF_THE_RUNTIME, SCRIPT, SERVICE, is_exact, is_up};
use crate::containerd::{Host, tracing_profile};
use crate::recorder::{PATIENCE, Recorder, ensure_calls};
use crate::support::{Need, Trial, test};

const NEEDS: &[Need] = &[Need::Kernel, Need::Containerd, Need::Runc, Need::Busybox];
const CRUN: &[Need] = &[Need::Kernel, Need::Containerd, Need::Crun, Need::Busybox];

/// The tests.
pub fn tests() -> Vec<Trial> {
    vec![
        test("record_containerd_what_ctr_started_by_its_name", NEEDS, by_name),
        test("record_containerd_many_short_lived_containers", NEEDS, short_lived),
        test("record_containerd_in_a_new_namespace", NEEDS, new_namespace).only_in_full(),
        test("record_containerd_what_ran_before", NEEDS, ran_before),
        test("record_containerd_what_joins_apart", NEEDS, joined),
        test("record_containerd_while_it_restarts", NEEDS, restarts),
        test("record_containerd_that_hangs", NEEDS, hangs).only_in_full(),
        test("record_containerd_under_crun", CRUN, crun),
        test("record_containerd_that_is_not_there", &[Need::Kernel], not_there),
    ]
}

/// Under containerd's profile, under ours, and under none; each ends by itself when its container is removed.
fn by_name() -> Result<()> {
    let host = Host::start()?;
    let tracing = tracing_profile(&host)?.display().to_string();
    let profiles = [
        (&["--seccomp"][..], BoundaryMethod::Filter),
        (&["--seccomp", "--seccomp-profile", &tracing], BoundaryMethod::Filter),
        (&[], BoundaryMethod::Estimated),
    ];
    for (options, method) in profiles {
        let name = unused_name("by-name");
        let mut recorder = host.recorder(&[&["--wait", "--container", &name], &FILES[..]].concat())?;
        let options = [&["--rm"], options].concat();
        ensure!(host.run_in("default", &options, &name, SCRIPT)? == "done\n");
        recorder.ends_with(0)?;
        let recording = recorder.recording("recording.json")?;
        ensure!(recording.boundary.method == method, "{options:?}: {:?}", recording.boundary);
        let Target::Container(container) = &recording.target else { bail!("no container") };
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
        ensure!(recording.boundary.method == BoundaryMethod::Filter, "{number}: {:?}", recording.boundary);
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
        let namespace = unused_name("new-ns");
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
        let Target::Container(container) = &recording.target else { bail!("no container") };
        ensure!(container.id == format!("{namespace}/{name}"), "{container:?}");
    }
    Ok(())
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
    let anew = "(attached late): what it has called already is not in the recording; to have all, start it anew while this runs";
    let command = "kubectl delete pod --namespace default web-1";
    recorder.ensure_said(&format!("default/web-1/app: it was running before {anew}: {command}\n"))?;
    // No one command would do it.
    recorder.ensure_said(&format!("{name}: it was running before {anew}\n"))?;
    pod.stop(&id, PATIENCE)?;
    drop(pod);
    host.ctr(&["tasks", "kill", "--signal", "TERM", &name])?;
    // Both have ended, and are known by their own names.
    recorder.ends_with(0)?;
    for name in [APP, &name] {
        let recording = recorder.recording(&format!("{name}.recording.json"))?;
        ensure!(recording.boundary.attached_late && recording.boundary.method == BoundaryMethod::Unknown);
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
    for name in [APP, &name] {
        let recording = recorder.recording(&format!("{name}.recording.json"))?;
        ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
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
    recorder.until_said("lost the connection to containerd")?;
    host.start_again()?;
    recorder.until_said("reconnected to")?;
    host.run(&["--rm", "--seccomp"], &after, SCRIPT)?;
    host.ctr(&["tasks", "kill", "--signal", "TERM", &before])?;
    until(PATIENCE, "its end", || Ok(host.ctr(&["tasks", "delete", &before]).ok()))?;
    recorder.interrupt()?;
    is_exact(&recorder, &format!("{after}.recording.json"), &after, &OF_THE_RUNTIME)?;
    let recording = recorder.recording(&format!("{before}.recording.json"))?;
    ensure!(recording.boundary.method == BoundaryMethod::Filter && !recording.boundary.attached_late);
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
    for (name, title) in [(APP, "default/web-1/app"), (&name, &name)] {
        let file = format!("{name}.recording.json");
        is_exact(&recorder, &file, title, &["mount", "pivot_root", "sethostname"])?;
        let recording = recorder.recording(&file)?;
        let Target::Container(container) = &recording.target else { bail!("no container") };
        ensure!(container.runtime.as_deref() == Some("crun"), "{container:?}");
    }
    let profile = recorder.path(&format!("{APP}.json")).display().to_string();
    for round in 0..5 {
        let pod = Pod::start(&host, "default", &format!("again-{round}"))?;
        let id = pod.run("app", SCRIPT, Seccomp::Localhost(&profile), &[])?;
        pod.ends_well(&id)?;
    }
    Ok(())
}

/// Nothing is started, and nothing written.
fn not_there() -> Result<()> {
    let socket = "/nonexistent/containerd.sock";
    let arguments = ["--engine", "containerd", "--container", "web", "-o", "{}/profile.json"];
    for (further, code) in [(&["--wait"][..], 2), (&["--", "touch", "{}/started.json"], 125)] {
        let arguments = [&arguments[..], further].concat();
        let mut recorder = Recorder::start_with(&arguments, &[("CONTAINERD_ADDRESS", socket)])?;
        recorder.ends_with(code)?;
        recorder.ensure_said(socket)?;
        ensure!(recorder.written()?.is_empty(), "{:?}", recorder.written());
    }
    Ok(())
}
