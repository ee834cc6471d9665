//! Containers that live for an instant: whole recordings, each under its right name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::BoundaryMethod;

use crate::container_matrix::container::unused_name;
use crate::recorder::{Recorder, docker, image, steady_calls};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];
/// In the full tier.
const CONTAINERS: usize = 200;
const AT_ONCE: usize = 8;
/// So many come and go around a stop, on a commit: a thousand take minutes.
const STOPPED: usize = 40;

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::exclusive("record_all_of_two_hundred_instants", NEEDS, two_hundred),
        support::exclusive("record_instants_around_a_stop", NEEDS, stopped),
    ]
}

/// Every profile is the same, byte for byte; every recording as well, but for what the runtime makes only sometimes.
fn two_hundred() -> Result<()> {
    let (prefix, count) = (unused_name("instant"), support::turns(CONTAINERS));
    let names: Vec<_> = (0..count).map(|number| format!("{prefix}-{number}")).collect();
    image()?;
    let mut recorder = Recorder::ready(&["--all", "--output-dir", "{}", "--recording-dir", "{}"])?;
    run_all(&names)?;
    recorder.interrupt()?;

    let mut profiles: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut sets: BTreeMap<BTreeSet<String>, Vec<&str>> = BTreeMap::new();
    for name in &names {
        let profile = std::fs::read_to_string(recorder.path(&format!("{name}.json")));
        let profile = profile.with_context(|| format!("{name}: it said {}", recorder.said()))?;
        profiles.entry(profile).or_default().push(name);
        let recording = recorder.recording(&format!("{name}.recording.json"))?;
        ensure!(recording.title() == *name, "{name} is called {}", recording.title());
        let boundary = recording.boundary;
        ensure!(boundary.method == BoundaryMethod::Filter && !boundary.attached_late, "{name}: {boundary:?}");
        ensure!(
            !recording.is_incomplete() && recording.lost.task_origins == 0,
            "{name}: {:?}",
            recording.lost
        );
        sets.entry(steady_calls(&recording)).or_default().push(name);
    }
    let written = recorder.written()?.into_iter().filter(|file| file.starts_with(&prefix)).count();
    ensure!(written == 2 * count, "{written} files");
    let lines = |profile: &String| profile.lines().map(str::to_owned).collect();
    let by_lines = || profiles.iter().map(|(profile, of)| (lines(profile), of.clone())).collect();
    ensure!(profiles.len() == 1, "profiles differ: {:#?}", differences(&by_lines()));
    ensure!(sets.len() == 1, "they differ: {:#?}", differences(&sets));
    let set = sets.keys().next().context("no set")?;
    ensure!(set.contains("Runtime capset") && set.contains("Application exit_group"), "{set:?}");
    ensure!(!set.iter().any(|call| call.contains("mount") || call.starts_with("Joined")), "{set:?}");
    Ok(())
}

/// The tracer is stopped for ten seconds while they come and go: each is recorded, or named where its engine's news was lost or
/// no slot was free.
fn stopped() -> Result<()> {
    let prefix = unused_name("stopped");
    let is_full = support::Tier::of_this_run() == support::Tier::Full;
    let count = if is_full { 1000 } else { STOPPED };
    let names: Vec<_> = (0..count).map(|number| format!("{prefix}-{number}")).collect();
    let ids = support::temp_dir()?;
    image()?;
    let options = ["--all", "--recording-dir", "{}", "--max-containers", "1024"];
    let mut recorder = Recorder::ready(&options)?;
    let (before, meanwhile) = names.split_at(names.len() / 5);
    run_all_with_ids(before, ids.path())?;
    recorder.signal(Signal::STOP)?;
    let since = Instant::now();
    let (meanwhile, after) = meanwhile.split_at(meanwhile.len() * 3 / 4);
    let ran = run_all_with_ids(meanwhile, ids.path());
    thread::sleep(Duration::from_secs(10).saturating_sub(since.elapsed()));
    recorder.signal(Signal::CONT)?;
    ran?;
    run_all_with_ids(after, ids.path())?;
    recorder.signal(Signal::INT)?;
    let code = recorder.status()?;
    let said = recorder.said();
    let mut named = 0;
    for name in &names {
        let id = std::fs::read_to_string(ids.path().join(name))?;
        let short = id.get(..12).context("no id")?;
        let of = |name: &str| recorder.recording(&format!("{name}.recording.json")).ok();
        match of(name) {
            Some(recording) => {
                ensure!(!recording.is_incomplete(), "{name}: {:?}", recording.lost);
                ensure!(
                    recording.boundary.method == BoundaryMethod::Filter,
                    "{name}: {:?}",
                    recording.boundary
                );
            }
            None => {
                let is_named = said.contains(id.trim()) || said.contains(&format!("error: {name} "));
                ensure!(of(short).is_some() || is_named, "{name}, {id}: not a word: {said}");
                named += 1;
            }
        }
    }
    ensure!(named > 0 || code == Some(0), "all are recorded, and {code:?}: {said}");
    Ok(())
}

/// As [`run_all`]; a file with a container's name has its id.
fn run_all_with_ids(names: &[String], ids: &Path) -> Result<()> {
    let file = |name: &str| ids.join(name).display().to_string();
    all(names, |name| {
        let run = ["run", "--rm", "--network", "none", "--name", name, "--cidfile", &file(name)];
        docker(&[&run[..], &[image()?, "/bin/true"]].concat()).map(drop)
    })
}

/// Runs them, some at a time.
fn run_all(names: &[String]) -> Result<()> {
    all(names, |name| {
        docker(&["run", "--rm", "--network", "none", "--name", name, image()?, "/bin/true"]).map(drop)
    })
}

fn all(names: &[String], run: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
            run(name)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })
}

/// What each set has beyond what all have, with the number of containers that have it.
fn differences(sets: &BTreeMap<BTreeSet<String>, Vec<&str>>) -> Vec<(Vec<String>, usize)> {
    let is_common = |call: &String| sets.keys().all(|set| set.contains(call));
    let own = |set: &BTreeSet<String>| set.iter().filter(|call| !is_common(call)).cloned().collect();
    sets.iter().map(|(set, names)| (own(set), names.len())).collect()
}
