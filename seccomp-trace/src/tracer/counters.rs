//! How often each call is made, and what the kernel program itself takes: only while somebody watches.

use std::{os::fd::OwnedFd, time::Duration};

use aya::{
    maps::{MapData, MapError, PerCpuArray, PerCpuValues, Queue},
    sys::{Stats, enable_stats},
    util::nr_cpus,
};
use seccomp_trace_common::{ABIS, Counts, NUMBERS, Sets, control};

use super::{Tracer, TracerError, slots::array};

const EMPTY: Counts = Counts { calls: [[0; NUMBERS]; ABIS], beyond: 0 };

/// What all parts of the kernel program have taken while the kernel measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The time of all runs on all processors.
    pub time: Duration,
    /// How often one of them ran.
    pub runs: u64,
}

impl Tracer {
    /// How often a slot's calls were made, all processors together; none where they are not counted.
    ///
    /// # Errors
    /// Where a map can't be read.
    pub fn counts(&self, slot: u32) -> Result<Option<Counts>, TracerError> {
        let _unpreempted = self.realtime();
        let Some(counter) = self.counter(slot)? else { return Ok(None) };
        let map = self.ebpf.map("COUNTS").ok_or(TracerError::Missing("COUNTS"))?;
        let counts = PerCpuArray::<_, Counts>::try_from(map)?.get(&counter, 0)?;
        let mut sum = EMPTY;
        for of_cpu in counts.iter() {
            let calls = sum.calls.iter_mut().flatten().zip(of_cpu.calls.iter().flatten());
            calls.for_each(|(sum, count)| *sum += count);
            sum.beyond += of_cpu.beyond;
        }
        Ok(Some(sum))
    }

    /// Counts a slot's calls from now on, in place of another one's where no counter is left.
    ///
    /// # Errors
    /// Where a map can't be read or written.
    pub fn count(&mut self, slot: u32, instead: Option<u32>) -> Result<(), TracerError> {
        let _unpreempted = self.realtime();
        if self.counter(slot)?.is_some() {
            return Ok(());
        }
        let mut counter = self.free_counters()?.pop(0).ok();
        if let (None, Some(instead)) = (counter, instead) {
            self.free_counter(instead)?;
            counter = self.free_counters()?.pop(0).ok();
        }
        if let Some(counter) = counter {
            self.control([control::COUNT, u64::from(slot), u64::from(counter) + 1, 0])?;
        }
        Ok(())
    }

    /// Takes a slot's counter from it.
    pub(super) fn free_counter(&mut self, slot: u32) -> Result<(), TracerError> {
        let Some(counter) = self.counter(slot)? else { return Ok(()) };
        self.control([control::COUNT, u64::from(slot), 0, 0])?;
        let cpus = nr_cpus().map_err(|(_, error)| MapError::from(error))?;
        let empty = PerCpuValues::try_from(vec![EMPTY; cpus]).map_err(MapError::from)?;
        PerCpuArray::<_, Counts>::try_from(self.map_mut("COUNTS")?)?.set(counter, empty, 0)?;
        Ok(self.free_counters()?.push(counter, 0)?)
    }

    fn counter(&self, slot: u32) -> Result<Option<u32>, TracerError> {
        let sets = array::<Sets>(&self.ebpf, "SETS")?.get(&slot, 0)?;
        Ok(u32::try_from(sets.counter).ok().and_then(|counter| counter.checked_sub(1)))
    }

    fn free_counters(&mut self) -> Result<Queue<&mut MapData, u32>, TracerError> {
        Ok(self.map_mut("FREE_COUNTERS")?.try_into()?)
    }

    /// What the kernel program has taken while [`measure`] was on.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn cost(&self) -> Result<Cost, TracerError> {
        let mut cost = Cost::default();
        for (_, program) in self.ebpf.programs() {
            if let Ok(info) = program.info() {
                cost.time += info.run_time();
                cost.runs += info.run_count();
            }
        }
        Ok(cost)
    }
}

/// The kernel measures its programs' run time for as long as this is held; that makes each run slower
/// (`BPF_ENABLE_STATS`, Linux 5.8).
#[must_use]
pub fn measure() -> Option<OwnedFd> {
    enable_stats(Stats::RunTime).ok()
}
