//! Nothing of seccomp-trace stays in the kernel after its end, however that comes.

use crate::{
    common::{LIMIT, TestEnv, eventually},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use aya::programs::loaded_programs;
use rustix::process::{Pid, Signal};
use std::{collections::BTreeSet, fs, time::Instant};

pub fn tests() -> Vec<Trial> {
    vec![
        support::test("a_killed_tracer_leaves_nothing_in_the_kernel", &[Need::Kernel], || {
            is_gone(Signal::KILL)
        }),
        support::test("a_tracer_leaves_nothing_in_the_kernel", &[Need::Kernel], || is_gone(Signal::TERM)),
    ]
}

fn is_gone(signal: Signal) -> Result<()> {
    let case = TestEnv::new()?;
    let running = case.start(&[], &["sh", "-c", "touch ready; exec sleep 60"])?;
    eventually("COMMAND is ready", || fs::metadata(case.file("ready")).ok())?;
    let own = programs_of(running.pid())?;
    // Two for calls, six for tasks and cgroups, the one that is asked; they are seen, so that their absence says something.
    ensure!(own.len() >= 9 && own.is_subset(&loaded()), "{own:?}");
    running.signal(signal)?;
    running.finish(LIMIT)?;
    let ended = Instant::now();
    // The kernel frees them after all processors have left them.
    eventually("they are gone", || loaded().is_disjoint(&own).then_some(()))?;
    ensure!(ended.elapsed().as_secs() < 2, "gone after {:?}", ended.elapsed());
    Ok(())
}

/// Those that a process holds, or links to them.
fn programs_of(pid: Pid) -> Result<BTreeSet<u32>> {
    let mut programs = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{}/fdinfo", pid.as_raw_nonzero()))? {
        let text = fs::read_to_string(entry?.path())?;
        let id = text.lines().find_map(|line| line.strip_prefix("prog_id:"));
        programs.extend(id.and_then(|id| id.trim().parse::<u32>().ok()));
    }
    Ok(programs)
}

/// Of all processes. One that goes meanwhile is passed over.
fn loaded() -> BTreeSet<u32> {
    loaded_programs().flatten().map(|program| program.id()).collect()
}
