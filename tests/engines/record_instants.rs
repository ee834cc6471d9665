//! Containers that live for an instant: whole recordings, each under its right name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use seccomp_trace::recording::{FoundBy, Origin};

use crate::proof::container::unused_name;
use crate::recorder::{Recorder, calls, docker, image};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];
const CONTAINERS: usize = 200;
const AT_ONCE: usize = 8;
/// What runc makes after its filter in some starts and not in others: the Go scheduler's waiting and waking, and signals.
const OF_THE_MOMENT: [&str; 7] =
    ["epoll_pwait", "epoll_ctl", "futex", "nanosleep", "rt_sigreturn", "sched_yield", "tgkill"];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![support::alone("record_all_of_two_hundred_instants", NEEDS, two_hundred)]
}

/// Every profile is the same, byte for byte; every recording as well, but for what the runtime makes only sometimes.
fn two_hundred() -> Result<()> {
    let prefix = unused_name("instant");
    let names: Vec<_> = (0..CONTAINERS).map(|number| format!("{prefix}-{number}")).collect();
    image()?;
    let mut recorder = Recorder::ready(&["--all", "--output-dir", "{}", "--recording-dir", "{}"])?;
    run_all(&names)?;
    recorder.interrupt()?;

    let mut profiles: BTreeMap<Vec<u8>, Vec<&str>> = BTreeMap::new();
    let mut sets: BTreeMap<BTreeSet<String>, Vec<&str>> = BTreeMap::new();
    for name in &names {
        let profile = std::fs::read(recorder.path(&format!("{name}.json")));
        let profile = profile.with_context(|| format!("{name}: it said {}", recorder.said()))?;
        profiles.entry(profile).or_default().push(name);
        let recording = recorder.recording(&format!("{name}.recording.json"))?;
        ensure!(recording.title() == *name, "{name} is called {}", recording.title());
        let boundary = recording.boundary;
        ensure!(boundary.found_by == FoundBy::Filter && !boundary.attached_late, "{name}: {boundary:?}");
        ensure!(!recording.is_incomplete() && recording.lost.origins == 0, "{name}: {:?}", recording.lost);
        let by_origin =
            [Origin::Runtime, Origin::Application, Origin::Joined].into_iter().flat_map(|origin| {
                let is_constant = |call: &&str| origin != Origin::Runtime || !OF_THE_MOMENT.contains(call);
                let of_it = calls(&recording, Some(origin)).into_iter().filter(is_constant);
                of_it.map(|call| format!("{origin:?} {call}")).collect::<Vec<_>>()
            });
        sets.entry(by_origin.collect()).or_default().push(name);
    }
    let written = recorder.written()?.into_iter().filter(|file| file.starts_with(&prefix)).count();
    ensure!(written == 2 * CONTAINERS, "{written} files");
    ensure!(profiles.len() == 1, "{} profiles: {:?}", profiles.len(), profiles.values());
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
