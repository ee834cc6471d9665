//! `record` of pods as a kubelet makes them: who is recorded, and what of their sandboxes.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{BoundaryMethod, GroupBy, Origin, Target};

use crate::container_matrix::container::unused_name;
use crate::containerd::cri::{Pod, Seccomp};
use crate::containerd::expect::{APP, FOLDERS, OF_THE_RUNTIME, SCRIPT, SERVICE, is_exact};
use crate::containerd::{Host, tracing_profile};
use crate::recorder::{PATIENCE, ensure_calls};
use crate::support::{Need, Trial, test};

const NEEDS: &[Need] = &[Need::Kernel, Need::Containerd, Need::Runc, Need::Busybox];

/// The tests.
pub fn tests() -> Vec<Trial> {
    vec![
        test("record_containerd_pods", NEEDS, pods),
        test("record_containerd_a_pod_as_one", NEEDS, one_pod),
        test("record_containerd_by_the_kubelets_labels", NEEDS, labels).only_in_full(),
        test("record_containerd_all_without_sandboxes", NEEDS, all),
        test("record_containerd_ones_with_hostile_names", NEEDS, hostile_names),
        test("record_containerd_an_unconfined_pod", NEEDS, unconfined),
        test("record_containerd_pods_that_nobody_can_name", NEEDS, gone).only_in_full(),
    ]
}

/// The pod and nothing beside it; and the profile starts the container again, as one that is local to the host.
fn pods() -> Result<()> {
    let host = Host::start()?;
    let tracing = tracing_profile(&host)?.display().to_string();
    for seccomp in [Seccomp::Default, Seccomp::Localhost(&tracing)] {
        let mut recorder = host.recorder(&[&["--pod", "default/web-*"], &FOLDERS[..]].concat())?;
        let run = |namespace: &str, pod: &str, name: &str| {
            let pod = Pod::start(&host, namespace, pod)?;
            let id = pod.run(name, SCRIPT, seccomp, &[])?;
            pod.ends_well(&id)
        };
        run("default", "web-1", "app")?;
        run("default", "other-1", "other")?;
        run("team", "web-2", "foreign")?;
        recorder.interrupt()?;
        let written = recorder.written()?;
        ensure!(written == [format!("{APP}.json"), format!("{APP}.recording.json")].into(), "{written:?}");
        is_exact(&recorder, &format!("{APP}.recording.json"), "default/web-1/app", &OF_THE_RUNTIME)?;
        let recording = recorder.recording(&format!("{APP}.recording.json"))?;
        let Target::Container(container) = &recording.target else { bail!("no container") };
        let pod = container.pod.as_ref().map(|pod| (pod.namespace.as_deref(), pod.name.as_str()));
        ensure!(container.engine == "containerd" && pod == Some((Some("default"), "web-1")), "{container:?}");
        let profile = recorder.path(&format!("{APP}.json")).display().to_string();
        for round in 0..5 {
            let pod = Pod::start(&host, "default", &format!("again-{round}"))?;
            let id = pod.run("app", SCRIPT, Seccomp::Localhost(&profile), &[])?;
            pod.ends_well(&id)?;
            pod.until_said("app", "done")?;
        }
    }
    Ok(())
}

/// The containers of a pod in one recording; another pod's, and one of none, have their own.
fn one_pod() -> Result<()> {
    let host = Host::start()?;
    let mut recorder = host.recorder(&[&["--all", "--group-by", "pod"], &FOLDERS[..]].concat())?;
    for (pod, containers) in [
        ("web-1", &[("app", "mkdir /x"), ("side", "chmod 700 /bin")][..]),
        ("web-2", &[("app", "ln /bin/sh /y")]),
    ] {
        let pod = Pod::start(&host, "default", pod)?;
        for (name, script) in containers {
            let id = pod.run(name, script, Seccomp::Default, &[])?;
            pod.ends_well(&id)?;
        }
    }
    let alone = unused_name("no-pod");
    host.run(&["--rm", "--seccomp"], &alone, SCRIPT)?;
    recorder.interrupt()?;
    let files = |name: &str| [format!("{name}.json"), format!("{name}.recording.json")];
    let expected = ["default_web-1", "default_web-2", &alone].into_iter().flat_map(files).collect();
    ensure!(recorder.written()? == expected, "{:?}; it said: {}", recorder.written()?, recorder.said());
    let recording = recorder.recording("default_web-1.recording.json")?;
    let Target::Group { by: GroupBy::Pod, containers, .. } = &recording.target else {
        bail!("{:?}", recording.target)
    };
    let names: Vec<_> = containers.iter().map(|container| container.name.as_str()).collect();
    ensure!(names.len() == 2 && recording.title() == "default/web-1", "{:?}", recording.target);
    ensure_calls(&recording, Origin::Application, &["mkdir", "chmod", "exit_group"], &["link", "mount"])?;
    let other = recorder.recording("default_web-2.recording.json")?;
    ensure_calls(&other, Origin::Application, &["link"], &["mkdir", "chmod"])
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
    ensure!(
        recorder.written()? == expected.map(|file| format!("default_web-1_{file}")).into(),
        "{:?}",
        recorder.written()?
    );
    is_exact(&recorder, "default_web-1_two.recording.json", "default/web-1/two", &OF_THE_RUNTIME)
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
    is_exact(&recorder, &format!("{APP}.recording.json"), "default/web-1/app", &OF_THE_RUNTIME)?;
    is_exact(&recorder, &format!("{name}.recording.json"), &name, &OF_THE_RUNTIME)?;
    let written = recorder.written()?;
    ensure!(written.contains("default_early_late.recording.json"), "{written:?}");
    for sandbox in [&early.sandbox, "POD", "pause"] {
        let short = sandbox.get(..12).unwrap_or(sandbox);
        ensure!(!written.iter().any(|file| file.contains(short)), "{written:?}");
        ensure!(!recorder.said().contains(short), "{}", recorder.said());
    }
    Ok(())
}

/// Neither a file of ours nor the terminal gets a name as it is; the recording has it.
fn hostile_names() -> Result<()> {
    let host = Host::start()?;
    let mut recorder = host.recorder(&[&["--pod", "default/web-*"], &FOLDERS[..]].concat())?;
    let pod = Pod::start(&host, "default", "web-1")?;
    let names =
        ["../../../escaped".to_owned(), "red\u{1b}[2J\u{7}\nerror: forged".to_owned(), "x".repeat(300)];
    for name in &names {
        let id = pod.run(name, SCRIPT, Seccomp::Default, &[])?;
        pod.ends_well(&id)?;
    }
    recorder.interrupt()?;
    let written = recorder.written()?;
    ensure!(written.len() == 2 * names.len(), "{written:?}; it said: {}", recorder.said());
    let mut titles = BTreeSet::new();
    for file in &written {
        ensure!(file.len() <= 255 && !file.contains(char::is_control), "{file:?}");
        if file.ends_with(".recording.json") {
            titles.insert(recorder.recording(file)?.title().into_owned());
        }
    }
    ensure!(titles == names.iter().map(|name| format!("default/web-1/{name}")).collect(), "{titles:?}");
    let said = recorder.said();
    ensure!(!said.contains(|letter: char| letter.is_control() && letter != '\n'), "{said:?}");
    ensure!(!said.lines().any(|line| line.starts_with("error")), "{said:?}");
    Ok(())
}

/// As a kubelet starts a container without `seccompProfile`.
fn unconfined() -> Result<()> {
    let host = Host::start()?;
    let mut recorder = host.recorder(&[&["--wait", "--pod", "default/web-1"], &FOLDERS[..]].concat())?;
    let pod = Pod::start(&host, "default", "web-1")?;
    let id = pod.run("app", SCRIPT, Seccomp::Unconfined, &[])?;
    pod.ends_well(&id)?;
    recorder.interrupt()?;
    let recording = recorder.recording(&format!("{APP}.recording.json"))?;
    ensure!(recording.boundary.method == BoundaryMethod::Estimated, "{:?}", recording.boundary);
    ensure_calls(&recording, Origin::Application, &["mkdir", "chmod", "exit_group"], &OF_THE_RUNTIME)?;
    let profile = recorder.path(&format!("{APP}.json")).display().to_string();
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
    let mut recorder = host.recorder(&[&["--wait", "--pod", "default/web-1"], &FOLDERS[..]].concat())?;
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
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    ensure_calls(&recording, Origin::Application, &["mkdir", "chmod"], &OF_THE_RUNTIME)
}
