//! Programs of other ABIs in real containers: recorded under the tracing profile, each ABI has exactly its own calls,
//! by their names, and the container does the same under its profile, in 20 of 20 starts; it does not without one of
//! the calls, nor without the architecture.

mod subjects;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::abi::Abi;
use seccomp_trace::recording::{Origin, Recording, VDSO};
use serde_json::Value;
use subjects::{COMPAT, MIXED, ONLY_32, Source, Subject, X32};
use tempfile::TempDir;

use crate::container_matrix::command;
use crate::container_matrix::container::unused_name;
use crate::recorder::{IMAGE, PATIENCE, Recorder, image};
use crate::run_profile::Bundle;
use crate::support::{self, Need, Trial, compile};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Cc];
const BUNDLES: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Cc, Need::Runc, Need::Crun];
const STARTS: usize = 20;
/// A start is mostly waiting for Docker.
const AT_ONCE: usize = 2;

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("a_32_bit_container_works_under_its_profile", NEEDS, || works(&ONLY_32)).only_in_full(),
        support::test("a_container_with_32_bit_calls_works_under_its_profile", NEEDS, || works(&COMPAT))
            .only_in_full(),
        support::test("a_container_of_both_works_under_its_profile", NEEDS, || works(&MIXED)),
        support::test("a_container_with_x32_calls_works_under_its_profile", NEEDS, || works(&X32))
            .only_in_full(),
        support::test("a_container_of_both_works_under_runc_and_crun_by_themselves", BUNDLES, bundles),
    ]
}

/// What a recording under the tracing profile gave.
struct Recorded {
    folder: TempDir,
    says: String,
    recording: Recording,
    profile: Value,
}

/// Compiles the programs where containers can be given them.
fn made(subject: &Subject, folder: &Path) -> Result<()> {
    for (name, source) in subject.programs {
        match source {
            Source::Bare(body) => compile::bare(folder, name, body),
            Source::Bare32(body) => compile::bare_32_bit(folder, name, body),
            Source::Libc(source) => compile::static_with_libc(folder, name, source),
        }?;
    }
    Ok(())
}

/// Runs the container once to its end, and gives what it printed.
fn run(folder: &Path, name: &str, profile: &Path, argv: &[&str]) -> Result<String> {
    image()?;
    let mut run = support::docker();
    run.args(["run", "--rm", "--network", "none", "--name", name]);
    run.arg("--security-opt").arg(format!("seccomp={}", profile.display()));
    run.arg("--volume").arg(format!("{}:/abi:ro", folder.display()));
    command::output(run.arg(IMAGE).args(argv), PATIENCE)
}

fn record(subject: &Subject) -> Result<Recorded> {
    let folder = support::temp_dir()?;
    made(subject, folder.path())?;
    let tracing = folder.path().join("tracing.json");
    fs::write(&tracing, command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    let name = unused_name("abi");
    let files = ["-o", "{}/profile.json", "--recording", "{}/recording.json"];
    let mut recorder = Recorder::ready(&[&["--wait", "--container", &name], &files[..]].concat())?;
    let says = run(folder.path(), &name, &tracing, subject.argv)?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    let profile = serde_json::from_slice(&fs::read(recorder.path("profile.json"))?)?;
    Ok(Recorded { folder, says, recording, profile })
}

/// The names of one ABI's calls by the application.
fn names(recording: &Recording, abi: Abi) -> BTreeSet<&str> {
    let calls = recording.syscalls.get(&abi).into_iter().flatten();
    let own = calls.filter(|call| call.origins.contains(&Origin::Application));
    own.map(|call| call.name.as_deref().unwrap_or("?")).collect()
}

fn is_exact(subject: &Subject, recorded: &Recorded) -> Result<()> {
    let Recorded { says, recording, profile, .. } = recorded;
    let (abi, calls) = &subject.other;
    ensure!(subject.says.is_none_or(|expected| says == expected), "recorded, it says {says:?}");
    // What the vDSO hides is said of almost every recording.
    let warned = recording.warnings.iter().any(|warning| warning.code != VDSO);
    ensure!(!warned && recording.lost.syscalls == 0, "{:?}", recording.warnings);
    let (native, other) = (names(recording, Abi::X86_64), names(recording, *abi));
    ensure!(other.iter().eq(*calls), "{abi}: {other:?}");
    match subject.native {
        Some(calls) => ensure!(native.iter().eq(calls), "x86_64: {native:?}"),
        None => {
            let own = ["clone", "execve", "sched_get_priority_max", "wait4"];
            ensure!(own.iter().all(|call| native.contains(call)), "x86_64: {native:?}");
            ensure!(!native.contains("getuid32") && !native.contains("waitpid"), "x86_64: {native:?}");
        }
    }
    let architectures: Vec<_> = [Abi::X86_64, *abi].iter().map(|abi| abi.seccomp_arch()).collect();
    ensure!(profile["architectures"] == serde_json::json!(architectures), "{}", profile["architectures"]);
    Ok(())
}

fn works(subject: &'static Subject) -> Result<()> {
    let recorded = record(subject)?;
    is_exact(subject, &recorded)?;
    let place = write(&recorded, "whole.json", &recorded.profile)?;
    let start = || run(recorded.folder.path(), &unused_name("abi"), &place, subject.argv);
    thread::scope(|scope| {
        let starts: Vec<_> = (0..AT_ONCE)
            .map(|_| scope.spawn(|| same(&recorded, support::turns(STARTS).div_ceil(AT_ONCE), start)))
            .collect();
        starts.into_iter().try_for_each(|starts| starts.join().unwrap_or_else(|_| anyhow::bail!("a panic")))
    })?;
    // The test can fail.
    for (what, less) in less(subject, &recorded.profile)? {
        let place = write(&recorded, "less.json", &less)?;
        let said = run(recorded.folder.path(), &unused_name("less"), &place, subject.argv);
        differs(&recorded, said).with_context(|| format!("without {what}"))?;
    }
    Ok(())
}

fn same(recorded: &Recorded, starts: usize, start: impl Fn() -> Result<String>) -> Result<()> {
    for number in 1..=starts {
        let said = start().with_context(|| format!("start {number}"))?;
        ensure!(said == recorded.says, "start {number}: {said:?}, not {:?}", recorded.says);
    }
    Ok(())
}

/// It starts, and then does something else, or is killed by SIGSYS: a runtime that refuses the profile proves nothing.
fn differs(recorded: &Recorded, said: Result<String>) -> Result<()> {
    match said {
        Ok(said) => ensure!(said != recorded.says, "it does the same: {said}"),
        Err(error) => ensure!(format!("{error:#}").contains("exit status: 159"), "{error:#}"),
    }
    Ok(())
}

fn write(recorded: &Recorded, name: &str, profile: &Value) -> Result<PathBuf> {
    let place = recorded.folder.path().join(name);
    fs::write(&place, profile.to_string())?;
    Ok(place)
}

/// The profile without the other architecture, and without one call.
fn less(subject: &Subject, profile: &Value) -> Result<[(&'static str, Value); 2]> {
    let (mut no_architecture, mut no_call) = (profile.clone(), profile.clone());
    let architectures = no_architecture["architectures"].as_array_mut().context("no architectures")?;
    architectures.retain(|name| name != subject.other.0.seccomp_arch());
    for rule in no_call["syscalls"].as_array_mut().context("no rules")? {
        rule["names"].as_array_mut().context("no names")?.retain(|name| name != subject.needs);
    }
    Ok([(subject.other.0.seccomp_arch(), no_architecture), (subject.needs, no_call)])
}

/// The profile that Docker's container gave, under other runtimes.
fn bundles() -> Result<()> {
    let recorded = record(&MIXED)?;
    let mut bundle = Bundle::new()?;
    let place = bundle.rootfs().join("abi");
    fs::create_dir(&place)?;
    made(&MIXED, &place)?;
    bundle.argv = MIXED.argv.iter().map(|word| (*word).to_owned()).collect();
    for runtime in ["runc", "crun"] {
        same(&recorded, support::turns(STARTS), || bundle.start(runtime, 0, false, &recorded.profile))
            .context(runtime)?;
        for (what, less) in less(&MIXED, &recorded.profile)? {
            differs(&recorded, bundle.start(runtime, 0, false, &less))
                .with_context(|| format!("{runtime} without {what}"))?;
        }
    }
    Ok(())
}
