//! What a container's profile denies: under Docker's own and Podman's, and under those that seccomp-trace writes.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::filter::Kind;
use seccomp_trace::recording::Recording;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::container_matrix::command;
use crate::podman::Podman;
use crate::recorder::{Container, IMAGE, PATIENCE, Recorder, docker, image, without};
use crate::support::denials::{denied, times};
use crate::support::{self, Need, Trial};

const DOCKER: &[Need] = &[Need::Kernel, Need::Docker, Need::Cc];
const RUNC: &[Need] = &[Need::Kernel, Need::Podman, Need::Cc, Need::Busybox, Need::Runc];
const CRUN: &[Need] = &[Need::Kernel, Need::Podman, Need::Cc, Need::Busybox, Need::Crun];
const TURNS: usize = 5;
const PLACES: [&str; 4] = ["-o", "{}/profile.json", "--recording", "{}/recording.json"];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("denials_under_dockers_default_profile", DOCKER, under_dockers_default),
        support::test("denials_of_what_joins_and_of_what_ran_before", DOCKER, late),
        support::test("denials_that_kill", DOCKER, killed),
        support::test("denials_of_a_call_that_is_taken_out", DOCKER, taken_out).only_in_full(),
        support::test("what_a_program_s_own_supervisor_answers_is_allowed", DOCKER, supervised),
        support::test("a_start_that_a_profile_denies_is_said_first", DOCKER, start_denied),
        support::test("denials_under_podmans_default_profile_with_runc", RUNC, || {
            under_podmans_default("runc")
        }),
        support::test("denials_under_podmans_default_profile_with_crun", CRUN, || {
            under_podmans_default("crun")
        }),
    ]
}

/// A folder for containers with a static program.
struct Folder {
    folder: TempDir,
}

impl Folder {
    fn new() -> Result<Self> {
        let folder = support::temp_dir()?;
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/engines/denials.c");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Werror", "-static", "-pthread", source, "-o"])
            .arg(folder.path().join("denied"));
        command::output(&mut cc, PATIENCE)?;
        Ok(Self { folder })
    }

    fn mount(&self) -> String {
        format!("--volume={}:/d", self.folder.path().display())
    }

    /// Writes a profile, and gives the option of `docker run`.
    fn profile(&self, profile: &Value) -> Result<String> {
        let path = self.folder.path().join("profile.json");
        fs::write(&path, profile.to_string())?;
        Ok(format!("--security-opt=seccomp={}", path.display()))
    }
}

/// What denials.c is denied: personality for some arguments only, once before it is allowed any, and in a child and a
/// thread; clone3 as if it were not there; the rest for all.
const EXPECTED: [(&str, u64); 4] =
    [("personality EPERM", 4), ("unshare EPERM", 1), ("add_key EPERM", 2), ("clone3 ENOSYS", 1)];

/// Podman's default profile answers ENOSYS.
const OF_PODMAN: [(&str, u64); 2] = [("personality ENOSYS", 4), ("add_key ENOSYS", 2)];

fn recorded(options: &[&str], words: &[&str], code: &str) -> Result<(Recorder, Recording)> {
    let container = Container::named("denied");
    let mut recorder = Recorder::ready(&[&["--wait", "--container", &container.name], &PLACES[..]].concat())?;
    let run = ["run", "--detach", "--network=none", "--name", &container.name];
    docker(&[&run, options, &[image()?], words].concat())?;
    let ended = docker(&["wait", &container.name])?;
    ensure!(ended.trim() == code, "{ended}{}", docker(&["logs", &container.name])?);
    container.remove()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    Ok((recorder, recording))
}

fn under_dockers_default() -> Result<()> {
    let folder = Folder::new()?;
    let mount = folder.mount();
    for turn in 0..support::turns(TURNS) {
        let (recorder, recording) = recorded(&[&mount], &["/d/denied"], "0")?;
        ensure!(denied(&recording) == times(EXPECTED), "turn {turn}: {:?}", denied(&recording));
        let kind = recording.filter.as_ref().map(|filter| filter.kind);
        ensure!(kind == Some(Kind::Default), "turn {turn}: {:?}", recording.filter);
        recorder.ensure_said("clone3 (ENOSYS, once)")?;
        // Nobody is advised to let clone3 in.
        recorder
            .ensure_said("what was denied stays denied: add_key (EPERM), unshare (EPERM); --allow-denied")?;
        recorder.ensure_said("seccomp-trace tracing-profile")?;
        recorder.ensure_said("allowed for all, as no rule here has arguments: personality (EPERM)")?;
        if turn > 0 {
            continue;
        }
        // The profile answers the same.
        let profile: Value = serde_json::from_str(&fs::read_to_string(recorder.path("profile.json"))?)?;
        let option = folder.profile(&profile)?;
        let (_, recording) = recorded(&[&mount, &option], &["/d/denied"], "0")?;
        let expected = times([("unshare EPERM", 1), ("add_key EPERM", 2), ("clone3 ENOSYS", 1)]);
        ensure!(denied(&recording) == expected, "under its profile: {:?}", denied(&recording));
    }
    Ok(())
}

/// `docker exec` is denied the same; so is a container that ran before we came, from then on.
fn late() -> Result<()> {
    let folder = Folder::new()?;
    let container = Container::named("late");
    let script = "trap '/d/denied; echo done' USR1; echo up; while :; do sleep 0.05; done";
    container.start(&[&folder.mount()], script)?;
    container.until_said("up")?;
    let mut recorder = Recorder::ready(&[&["--container", &container.name], &PLACES[..]].concat())?;
    docker(&["exec", &container.name, "/d/denied"])?;
    docker(&["kill", "--signal", "USR1", &container.name])?;
    container.until_said("done")?;
    container.remove()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    let expected = EXPECTED.map(|(what, count)| (what, 2 * count));
    ensure!(denied(&recording) == times(expected), "{:?}", denied(&recording));
    Ok(())
}

/// A profile whose answer is the end; also for an architecture that it does not list.
fn killed() -> Result<()> {
    let folder = Folder::new()?;
    let kill = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": ["add_key"], "action": "SCMP_ACT_KILL_PROCESS" }],
    });
    let options = [folder.mount(), folder.profile(&kill)?];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (_, recording) = recorded(&options, &["/d/denied", "add_key"], "159")?;
    ensure!(denied(&recording) == times([("add_key killed", 1)]), "{:?}", denied(&recording));
    let (_, recording) = recorded(&options, &["/d/denied", "int80"], "159")?;
    ensure!(denied(&recording) == times([("i386 getpid killed", 1)]), "{:?}", denied(&recording));
    Ok(())
}

/// A recorded profile without one of its calls: that one is named, nothing else, and `--allow-denied` makes it whole.
fn taken_out() -> Result<()> {
    let script = "mkdir /x; rmdir /x; chmod 700 /bin; umask 22; true";
    let words = ["sh", "-c", script];
    let folder = Folder::new()?;
    let tracing: Value =
        serde_json::from_str(&command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    let option = folder.profile(&tracing)?;
    let (whole, recording) = recorded(&[&option], &words, "0")?;
    ensure!(denied(&recording).is_empty(), "{:?}", denied(&recording));
    for call in ["mkdir", "chmod", "umask"] {
        let profile = without(&fs::read_to_string(whole.path("profile.json"))?, call)?;
        let option = folder.profile(&serde_json::from_str(&profile)?)?;
        let (recorder, recording) = recorded(&[&option], &words, "0")?;
        let names: Vec<_> = recording.denials().filter_map(|(_, denial)| denial.name.as_deref()).collect();
        // Without mkdir there is nothing for rmdir to remove, and it is made all the same.
        ensure!(names == [call], "without {call}: {names:?}");
        let mut generate = support::program();
        generate.args(["generate", "--allow-denied"]).arg(recorder.path("recording.json"));
        let again: Value = serde_json::from_str(&command::output(&mut generate, PATIENCE)?)?;
        let option = folder.profile(&again)?;
        let (_, recording) = recorded(&[&option], &words, "0")?;
        ensure!(denied(&recording).is_empty(), "with {call} again: {:?}", denied(&recording));
    }
    Ok(())
}

/// A program without privileges loads a filter of its own only so (seccomp(2)).
const ALONE: &str = "--security-opt=no-new-privileges";

/// The kernel takes a denial before it asks a supervisor: a profile that denied the call would break the program.
fn supervised() -> Result<()> {
    let folder = Folder::new()?;
    let source = include_str!("../kernel/denials/supervised.c");
    support::compile::static_with_libc(folder.folder.path(), "supervised", source)?;
    let tracing: Value =
        serde_json::from_str(&command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    let (mount, option) = (folder.mount(), folder.profile(&tracing)?);
    let (recorder, recording) = recorded(&[&mount, &option, ALONE], &["/d/supervised"], "0")?;
    ensure!(denied(&recording) == times([("supervised times EIO", 1)]), "{:?}", denied(&recording));
    let kind = recording.filter.as_ref().map(|filter| filter.kind);
    ensure!(kind == Some(Kind::Tracing), "{:?}", recording.filter);
    recorder.ensure_said("answered by the program's own supervisor or tracer: times (EIO, once)")?;
    let profile: Value = serde_json::from_str(&fs::read_to_string(recorder.path("profile.json"))?)?;
    let option = folder.profile(&profile)?;
    let (_, recording) = recorded(&[&mount, &option, ALONE], &["/d/supervised"], "0")?;
    ensure!(denied(&recording) == times([("supervised times EIO", 1)]), "again: {:?}", denied(&recording));
    // The test can fail.
    let option = folder.profile(&serde_json::from_str(&without(&profile.to_string(), "times")?)?)?;
    let (_, recording) = recorded(&[&mount, &option, ALONE], &["/d/supervised"], "3")?;
    ensure!(denied(&recording) == times([("times EPERM", 1)]), "without: {:?}", denied(&recording));
    Ok(())
}

/// runc closes what it has open after it has loaded the filter, and fails where it may not look what that is.
fn start_denied() -> Result<()> {
    let folder = Folder::new()?;
    let deny = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["getdents64"], "action": "SCMP_ACT_ERRNO" }],
    });
    let option = folder.profile(&deny)?;
    let name = crate::container_matrix::container::unused_name("start-denied");
    let files = ["-o", "{}/profile.json", "--recording", "{}/recording.json"];
    let mut recorder = Recorder::ready(&[&["--wait", "--container", &name], &files[..]].concat())?;
    let mut run = support::docker();
    run.args(["run", "--network=none", "--name", &name, &option, image()?, "true"]);
    ensure!(!support::run_with_timeout(&mut run, PATIENCE)?.status.success(), "it starts");
    docker(&["rm", "--force", &name])?;
    recorder.ends_with(2)?;
    recorder.ensure_said("the start failed, as the profile in force denied getdents64 (EPERM)")
}

fn under_podmans_default(runtime: &'static str) -> Result<()> {
    let podman = Podman::with(runtime)?;
    let folder = Folder::new()?;
    let recorded = |name: &str, option: &str| -> Result<(Recorder, BTreeMap<String, u64>)> {
        let mut recorder = podman.ready(&[&["--wait", "--container", name], &PLACES[..]].concat())?;
        let mount = folder.mount();
        podman.run(&["run", "--network=none", "--name", name, &mount, option, IMAGE, "/d/denied"])?;
        podman.run(&["rm", "--force", name])?;
        recorder.ends_with(0)?;
        let denied = denied(&recorder.recording("recording.json")?);
        Ok((recorder, denied))
    };
    for turn in 0..support::turns(TURNS) {
        let (recorder, denied) = recorded(&format!("denied-{turn}"), "--env=A=B")?;
        ensure!(denied == times(OF_PODMAN), "turn {turn}: {denied:?}");
        if turn > 0 {
            continue;
        }
        // Under its profile the same; and with a rule that says what the default does, which libseccomp itself refuses.
        let mut profile: Value = serde_json::from_str(&fs::read_to_string(recorder.path("profile.json"))?)?;
        for errno in ["ENOSYS", "EPERM"] {
            let (_, denied) = recorded(&format!("again-{errno}"), &folder.profile(&profile)?)?;
            ensure!(denied == times([(&format!("add_key {errno}"), 2)]), "under its profile: {denied:?}");
            let rules = profile["syscalls"].as_array_mut().context("no rules")?;
            for rule in rules.iter_mut().filter(|rule| rule["errnoRet"] == 38) {
                rule["errnoRet"] = 1.into();
            }
        }
    }
    Ok(())
}
