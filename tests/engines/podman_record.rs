//! `record --engine podman`: real containers of Podman's, under runc and crun.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::recording::{BoundaryMethod, Origin, Recording, Target, VDSO};
use serde_json::json;

use crate::podman::Podman;
use crate::recorder::{IMAGE, ensure_calls, steady_calls, without};
use crate::support::{self, Need, Trial};

const RUNC: &[Need] = &[Need::Kernel, Need::Podman, Need::Busybox, Need::Runc];
const CRUN: &[Need] = &[Need::Kernel, Need::Podman, Need::Busybox, Need::Crun];
const STARTS: usize = 20;
/// What only a runtime calls, before it loads the filter.
const OF_THE_RUNTIME: [&str; 5] = ["mount", "umount2", "pivot_root", "keyctl", "sethostname"];
/// One container, in a file of its own.
const ONE: [&str; 4] = ["-o", "{}/profile.json", "--recording", "{}/recording.json"];
/// Each in its file.
const MANY: [&str; 4] = ["--output-dir", "{}", "--recording-dir", "{}"];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("podman_record_a_container_that_starts_under_runc", RUNC, || starts("runc")),
        support::test("podman_record_a_container_that_starts_under_crun", CRUN, || starts("crun")),
        support::test("podman_record_all_of_twenty_short_ones_under_runc", RUNC, || twenty("runc")),
        support::test("podman_record_all_of_twenty_short_ones_under_crun", CRUN, || twenty("crun")),
        support::test("podman_record_by_glob_image_and_label", RUNC, several),
        support::test("podman_record_what_exec_runs_apart_under_runc", RUNC, || joined("runc")),
        support::test("podman_record_what_exec_runs_apart_under_crun", CRUN, || joined("crun")),
        support::test("podman_record_without_a_filter_under_runc", RUNC, || unconfined("runc")),
        support::test("podman_record_without_a_filter_under_crun", CRUN, || unconfined("crun")),
        support::test("podman_record_beside_hooks", RUNC, hooks),
        support::test("podman_record_the_containers_of_a_pod", RUNC, pod),
        support::test("podman_record_refuses_one_without_a_cgroup", CRUN, without_a_cgroup),
    ]
}

/// As each user, and with no-new-privileges: the profile starts it again.
fn starts(runtime: &'static str) -> Result<()> {
    let podman = Podman::with(runtime)?;
    let script = "mkdir /tmp/x && chmod 700 /tmp/x && rmdir /tmp/x && echo done";
    for options in [&[][..], &["--user=1000"], &["--security-opt=no-new-privileges"]] {
        let mut recorder = podman.ready(&[&["--wait", "--container", "web"], &ONE[..]].concat())?;
        podman.start("web", options, script)?;
        podman.ends_well("web")?;
        podman.run(&["rm", "web"])?;
        recorder.ends_with(0)?;
        let recording = recorder.recording("recording.json")?;
        exact(&recording, "web", runtime)?;
        let own = ["mkdir", "chmod", "rmdir", "write", "exit_group"];
        ensure_calls(&recording, Origin::Application, &own, &OF_THE_RUNTIME)?;
        ensure_calls(&recording, Origin::Runtime, &["execve"], &[&OF_THE_RUNTIME[..], &["mkdir"]].concat())?;

        let profile = recorder.path("profile.json");
        let start = || {
            let security = format!("--security-opt=seccomp={}", profile.display());
            let run = ["run", "--rm", "--network=none", &security];
            podman.run(&[&run[..], options, &[IMAGE, "sh", "-c", script]].concat())
        };
        for number in 1..=support::turns(STARTS) {
            let said = start().with_context(|| format!("{runtime}, {options:?}, start {number}"))?;
            ensure!(said == "done\n", "{said}");
        }
        // The test can fail: this one is the script's.
        fs::write(&profile, without(&fs::read_to_string(&profile)?, "mkdir")?)?;
        ensure!(start().is_err(), "{runtime}, {options:?}: it works without mkdir");
    }
    Ok(())
}

/// Fails where a recording is not whole, or not this container's.
fn exact(recording: &Recording, name: &str, runtime: &str) -> Result<()> {
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    ensure!(!recording.boundary.attached_late && recording.finished, "{:?}", recording.boundary);
    ensure!(recording.warnings.iter().all(|its| its.code == VDSO), "{:?}", recording.warnings);
    let Target::Container(container) = &recording.target else { anyhow::bail!("{:?}", recording.target) };
    ensure!(container.name == name && container.engine == "podman", "{container:?}");
    ensure!(container.runtime.as_deref().is_none_or(|known| known == runtime), "{container:?}");
    Ok(())
}

/// Not one is lost or has a wrong name, however short it lives; and all of one program have one profile. The tests end
/// with the last one, before Podman's stream of events has told of it.
fn twenty(runtime: &'static str) -> Result<()> {
    let podman = Podman::with(runtime)?;
    let script = podman.path("tests");
    let line = podman.command(&["run", "--rm", "--network=none", "--name", "instant-$1", IMAGE, "true"]);
    let quoted = |text: &std::ffi::OsStr| format!("\"{}\"", text.to_string_lossy().replace('"', "\\\""));
    // The one `$` that the wrapper's own script has is not for this shell.
    let words: Vec<_> = std::iter::once(line.get_program()).chain(line.get_args()).map(quoted).collect();
    let words = words.join(" ").replace("\\\"$@\\\"", "\\\"\\$@\\\"");
    fs::write(&script, format!("#!/bin/sh\nexec {words}\n"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let all = format!("seq 20 | xargs -P 8 -n 1 {}", script.display());
    let mut recorder = podman.record(&[&["--all"], &MANY[..], &["--", "sh", "-c", &all]].concat())?;
    recorder.ends_with(0)?;
    let names: Vec<_> = (1..=20).map(|number| format!("instant-{number}")).collect();
    let files = |name: &String| [format!("{name}.json"), format!("{name}.recording.json")];
    let expected: BTreeSet<_> = names.iter().flat_map(files).collect();
    ensure!(recorder.written()? == expected, "{:?}; it said: {}", recorder.written()?, recorder.said());
    let mut seen = BTreeMap::<BTreeSet<String>, Vec<&str>>::new();
    for name in &names {
        let recording = recorder.recording(&format!("{name}.recording.json"))?;
        exact(&recording, name, runtime)?;
        seen.entry(steady_calls(&recording)).or_default().push(name);
    }
    ensure!(seen.len() == 1, "{seen:#?}");
    Ok(())
}

/// Those asked for, now and later; and nobody else.
fn several() -> Result<()> {
    let podman = Podman::with("runc")?;
    podman.run(&["tag", IMAGE, "other"])?;
    podman.start("g-early", &[], "echo up; while :; do sleep 0.05; done")?;
    podman.until_said("g-early", "up")?;
    let asked = ["--container", "g-*", "--image", "oth?r", "--label", "key=yes"];
    let mut recorder = podman.ready(&[&asked, &MANY[..]].concat())?;
    recorder.ensure_said("g-early: it was running before")?;
    recorder.ensure_said("start it anew while this runs: podman restart g-early\n")?;
    podman.start("g-late", &[], "true")?;
    podman.start("label", &["--label", "key=yes"], "true")?;
    podman.start("stranger", &["--label", "key=no"], "true")?;
    podman.run(&["run", "--name", "image", "--network=none", "other", "true"])?;
    for name in ["g-late", "label", "stranger"] {
        podman.ends_well(name)?;
    }
    recorder.interrupt()?;
    let files = |name: &str| [format!("{name}.json"), format!("{name}.recording.json")];
    let expected: BTreeSet<_> = ["g-early", "g-late", "label", "image"].into_iter().flat_map(files).collect();
    ensure!(recorder.written()? == expected, "{:?}; it said: {}", recorder.written()?, recorder.said());
    for name in ["g-late", "label", "image"] {
        exact(&recorder.recording(&format!("{name}.recording.json"))?, name, "runc")?;
    }
    Ok(())
}

/// What joins is told from the service, and takes nothing from it.
fn joined(runtime: &'static str) -> Result<()> {
    let podman = Podman::with(runtime)?;
    let mut recorder = podman.ready(&[&["--wait", "--container", "web"], &ONE[..]].concat())?;
    let script = "trap 'chmod 700 /bin; exit' TERM; echo up; while :; do sleep 0.05; done";
    podman.start("web", &[], script)?;
    podman.until_said("web", "up")?;
    podman.run(&["exec", "web", "sh", "-c", "mkdir /x; chmod 755 /bin"])?;
    podman.run(&["kill", "--signal", "TERM", "web"])?;
    podman.ends_well("web")?;
    podman.run(&["rm", "web"])?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    exact(&recording, "web", runtime)?;
    ensure_calls(&recording, Origin::Joined, &["mkdir", "chmod"], &[])?;
    ensure_calls(&recording, Origin::Application, &["chmod"], &["mkdir", "capset", "setgroups", "keyctl"])
}

/// The boundary is estimated, and that is said.
fn unconfined(runtime: &'static str) -> Result<()> {
    let podman = Podman::with(runtime)?;
    let mut recorder = podman.ready(&[&["--wait", "--container", "web"], &ONE[..]].concat())?;
    podman.start("web", &["--security-opt=seccomp=unconfined"], "mkdir /x")?;
    podman.ends_well("web")?;
    podman.run(&["rm", "web"])?;
    recorder.ends_with(0)?;
    recorder.ensure_said("estimated")?;
    let recording = recorder.recording("recording.json")?;
    ensure!(recording.boundary.method == BoundaryMethod::Estimated, "{:?}", recording.boundary);
    let of_the_runtime = [&OF_THE_RUNTIME[..], &["capset"]].concat();
    ensure_calls(&recording, Origin::Application, &["mkdir", "exit_group"], &of_the_runtime)
}

/// Hooks of each stage run before and after the application; none of them is taken for it, save the one that runs under
/// the container's filter, whose calls are asked for as well.
fn hooks() -> Result<()> {
    let podman = Podman::with("runc")?;
    let folder = podman.path("hooks");
    fs::create_dir(&folder)?;
    for stage in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        // In the container's root, and under its filter.
        let (path, script) = match stage {
            "startContainer" => ("/bin/sh".to_owned(), "chmod 700 /tmp; echo ran >/tmp/hook".to_owned()),
            _ => {
                let log = podman.path("log");
                let script =
                    format!("mknod /tmp/st-$$ p; rm -f /tmp/st-$$; echo {stage} >>{}", log.display());
                (host_busybox()?, script)
            }
        };
        let hook = json!({
            "version": "1.0.0",
            "hook": { "path": path, "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"] },
            "when": { "always": true },
            "stages": [stage],
        });
        fs::write(folder.join(format!("{stage}.json")), hook.to_string())?;
    }
    let hooks = format!("--hooks-dir={}", folder.display());
    let script = "cat /tmp/hook; mkdir /x; while [ ! -e /tmp/end ]; do sleep 0.05; done";
    let life = |options: &[&str]| -> Result<()> {
        let run = [&hooks, "run", "--detach", "--network=none", "--name=web"];
        podman.run(&[&run[..], options, &[IMAGE, "sh", "-c", script]].concat())?;
        // The start has come to its end, poststart included.
        podman.run(&["exec", "web", "touch", "/tmp/end"])?;
        podman.ends_well("web")?;
        ensure!(podman.run(&["logs", "web"])?.contains("ran"), "the hook in the container never ran");
        podman.run(&["rm", "web"]).map(drop)
    };
    let mut recorder = podman.ready(&[&["--wait", "--container", "web"], &ONE[..]].concat())?;
    life(&[])?;
    recorder.ends_with(0)?;
    let log = fs::read_to_string(podman.path("log"))?;
    for stage in ["createRuntime", "createContainer", "poststart"] {
        ensure!(log.contains(stage), "{stage} never ran: {log}");
    }
    let recording = recorder.recording("recording.json")?;
    exact(&recording, "web", "runc")?;
    let wrong = [&OF_THE_RUNTIME[..], &["mknod", "mknodat"]].concat();
    ensure_calls(
        &recording,
        Origin::Application,
        &["mkdir", "exit_group"],
        &[&wrong[..], &["chmod"]].concat(),
    )?;
    // The startContainer hook's: made under the filter, and nobody's before the application.
    ensure_calls(&recording, Origin::Runtime, &["chmod"], &[])?;
    life(&[&format!("--security-opt=seccomp={}", recorder.path("profile.json").display())])
}

/// A program that runs on the host as in the container.
fn host_busybox() -> Result<String> {
    Ok(support::find_program("busybox").context("there is no busybox")?.display().to_string())
}

/// Each container of a pod for itself, with the pod's name; what holds the pod together is nobody's application. Also
/// where the pod's cgroup is a bare id, as Docker's containers have it.
fn pod() -> Result<()> {
    let podman = Podman::with("runc")?;
    let mut recorder = podman.ready(&[&["--all"], &MANY[..]].concat())?;
    for (pod, parent) in [("shop", "/libpod_parent"), ("bar", "/st-podman-test")] {
        let parent = format!("--cgroup-parent={parent}");
        let create = ["pod", "create", "--network=none", "--name", pod, "--infra-image", IMAGE];
        podman.run(&[&create[..], &["--infra-command=sleep 60", &parent]].concat())?;
        for (name, script) in [("web", "mkdir /x"), ("db", "chmod 700 /tmp")] {
            // So late that every engine has denied that the pod's own cgroup, a bare id, is a container.
            if name == "db" {
                thread::sleep(Duration::from_millis(2500));
            }
            let name = format!("{pod}-{name}");
            podman.run(&["run", "--pod", pod, "--name", &name, IMAGE, "sh", "-c", script])?;
        }
    }
    recorder.interrupt()?;
    let names = ["shop-web", "shop-db", "bar-web", "bar-db"];
    let files = |name: &str| [format!("{name}.json"), format!("{name}.recording.json")];
    let expected: BTreeSet<_> = names.into_iter().flat_map(files).collect();
    ensure!(recorder.written()? == expected, "{:?}; it said: {}", recorder.written()?, recorder.said());
    for name in names {
        let recording = recorder.recording(&format!("{name}.recording.json"))?;
        exact(&recording, name, "runc")?;
        let Target::Container(container) = &recording.target else { anyhow::bail!("no container") };
        let pod = container.pod.as_ref().map(|pod| pod.name.as_str());
        ensure!(pod == name.split('-').next(), "{container:?}");
        let (own, other) = if name.ends_with("web") { ("mkdir", "chmod") } else { ("chmod", "mkdir") };
        ensure_calls(&recording, Origin::Application, &[own], &[other])?;
    }
    Ok(())
}

/// Its calls can't be told from the host's: it is refused by its name, and left out of all.
fn without_a_cgroup() -> Result<()> {
    let podman = Podman::with("crun")?;
    podman.start("bare", &["--cgroups=disabled"], "while :; do sleep 0.05; done")?;
    let arguments = ["--container", "bare", "-o", "{}/profile.json", "--", "touch", "{}/started.json"];
    let mut recorder = podman.record(&arguments)?;
    recorder.ends_with(125)?;
    recorder.ensure_said("bare can't be recorded")?;
    recorder.ensure_said("--cgroups=disabled")?;
    ensure!(recorder.written()?.is_empty(), "{:?}", recorder.written());

    let mut recorder = podman.ready(&[&["--all"], &MANY[..]].concat())?;
    recorder.ensure_said("it is left out")?;
    podman.start("web", &[], "mkdir /x")?;
    podman.ends_well("web")?;
    recorder.interrupt()?;
    ensure!(recorder.written()?.len() == 2, "{:?}", recorder.written());
    exact(&recorder.recording("web.recording.json")?, "web", "crun")
}
