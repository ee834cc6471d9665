//! Containers that live for an instant: whole recordings, each under its right name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use seccomp_trace::recording::FoundBy;

use crate::proof::container::unused_name;
use crate::recorder::{Recorder, docker, image, steady_calls};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];
/// In the full tier.
const CONTAINERS: usize = 200;
const AT_ONCE: usize = 8;

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![support::alone("record_all_of_two_hundred_instants", NEEDS, two_hundred)]
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
        ensure!(boundary.found_by == FoundBy::Filter && !boundary.attached_late, "{name}: {boundary:?}");
        ensure!(!recording.is_incomplete() && recording.lost.origins == 0, "{name}: {:?}", recording.lost);
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

/// Runs them, some at a time.
fn run_all(names: &[String]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
            docker(&["run", "--rm", "--network", "none", "--name", name, image()?, "/bin/true"])?;
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
