//! What a session costs beside its calls: until it begins, what it holds, and what a flood makes it lose.

use crate::{
    document::{Flood, Measured, Session},
    place::Place,
    process::{Process, run},
    rounds::{measured, rounds},
    support::{self, flood, program},
    worker::Worker,
};
use anyhow::{Context as _, Result, ensure};
use seccomp_trace::{abi::Abi, recording::Recording};
use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Instant};

/// Cgroups, at most.
const MANY: u32 = 10_000;

pub fn measure(is_check: bool) -> Result<Session> {
    let times = if is_check { 5 } else { 21 };
    eprintln!("session: start and memory");
    let mut all = start(times)?;
    all.insert(0, short_command(times)?);
    if !is_check {
        all.push(many()?);
    }
    all.push(size()?);
    eprintln!("session: a flood");
    Ok(Session { measured: all, flood: flooded()? })
}

/// `run` of a command that ends at once, against that command alone.
fn short_command(times: usize) -> Result<Measured> {
    let folder = support::temp_dir()?;
    let profile = folder.path().join("profile.json");
    let took = rounds(times, 2, |number| {
        let mut command = if number == 0 { Command::new("true") } else { program() };
        if number == 1 {
            command.args(["run", "--quiet", "-o"]).arg(&profile).args(["--", "true"]);
        }
        let start = Instant::now();
        run(&mut command)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    })?;
    let [alone, traced] = <[Vec<_>; 2]>::try_from(took).ok().context("two things were measured")?;
    let more = alone.iter().zip(&traced).map(|(alone, traced)| traced - alone);
    Ok(measured("`run -- true`, more than `true`", "ms", more, Some(30.0)))
}

/// Until `record` says that it is ready, and what is resident then.
fn start(times: usize) -> Result<Vec<Measured>> {
    let place = Place::new(0)?;
    let folder = support::temp_dir()?;
    // Without anything to write it would not end well.
    let mut worker = Worker::start(0, Some(&place.procs()))?;
    let took = rounds(times, 1, |_| {
        let start = Instant::now();
        let record = Process::ready(record(folder.path(), &place, &["traced".to_owned()], 1))?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        worker.calls(1)?;
        let resident = record.resident()?;
        record.interrupt()?;
        Ok((took, resident))
    })?;
    let took = took.into_iter().next().unwrap_or_default();
    Ok(vec![
        measured("from the start until attached", "ms", took.iter().map(|(took, _)| *took), Some(50.0)),
        measured("resident, `record` of a cgroup", "MB", took.iter().map(|(_, its)| its.now), Some(12.0)),
        measured("the same at most, while it starts", "MB", took.iter().map(|(_, its)| its.most), None),
    ])
}

fn record(folder: &Path, place: &Place, cgroups: &[String], max: u32) -> Command {
    let mut command = program();
    command.args(["record", "--wait", "--recording-dir"]).arg(folder);
    command.args(["--max-containers", &max.max(1024).to_string()]);
    for cgroup in cgroups {
        command.args(["--cgroup", &format!("{}/{cgroup}", place.path)]);
    }
    command
}

/// A process goes through thousands of cgroups, and makes some calls in each.
fn many() -> Result<Measured> {
    let place = Place::new(MANY)?;
    let folder = support::temp_dir()?;
    let cgroups: Vec<String> = (0..MANY).map(|number| number.to_string()).collect();
    let record = Process::ready(record(folder.path(), &place, &cgroups, MANY + 1))?;
    for cgroup in &cgroups {
        let mut worker = Worker::start(0, Some(&place.procs_of(cgroup)))?;
        worker.unused_once()?;
    }
    let peak = record.interrupt()?;
    let written = fs::read_dir(folder.path())?.count();
    ensure!(written == cgroups.len(), "{written} recordings of {MANY}");
    Ok(measured(format!("resident, {MANY} recordings at once"), "MB", [peak], None))
}

fn size() -> Result<Measured> {
    let path = program().get_program().to_owned();
    let bytes = fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    Ok(measured("the program, with its kernel program", "MB", [bytes as f64 / 1e6], None))
}

/// All processors make every harmless number of all ABIs, with the smallest ring buffer.
fn flooded() -> Result<Flood> {
    let folder = support::temp_dir()?;
    // Who floods is nobody.
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let calls = flood::calls(0);
    let flood = flood::program(folder.path(), "flood", &calls)?;
    let file = |name: &str| folder.path().join(name);
    let processes = std::thread::available_parallelism()?.get() * 2;
    let mut command = program();
    command.args(["run", "--quiet", "--ring-buffer", "4096", "-o"]).arg(file("profile.json"));
    command.arg("--recording").arg(file("recording.json")).args(["--", &flood, &processes.to_string(), "3"]);
    run(&mut command)?;
    let recording = Recording::read(&file("recording.json"))?;
    let seen: BTreeSet<(Abi, u32)> = recording
        .syscalls
        .iter()
        .flat_map(|(abi, calls)| calls.iter().map(move |call| (*abi, call.number)))
        .collect();
    Ok(Flood {
        distinct: calls.len(),
        missing: calls.difference(&seen).count(),
        events_lost: recording.lost.events,
    })
}
