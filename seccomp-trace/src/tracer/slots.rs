//! Reading slots and freeing them.

use std::collections::BTreeMap;

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, MapData, MapError, Queue},
};
use seccomp_trace_common::{
    ABIS, Cell, Denial, Denied, FilterKey, HighNumber, Known, NUMBERS, Owner, REPORTED, Refused, SEEN, Sets,
    Slot, VSYSCALL, cell, control, flag, set, state,
};

use super::{Tracer, TracerError};

/// Only where there is no entry (include/uapi/linux/bpf.h).
const BPF_NOEXIST: u64 = 1;

/// One call of a slot, as its map says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Calls {
    /// The index of the ABI.
    pub abi: usize,
    /// The number.
    pub number: u32,
    /// One of [`set`].
    pub set: usize,
    /// Whether it was made. One that is told and was not made has been tampered with.
    pub seen: bool,
    /// Whether the ring buffer has taken the news of it.
    pub told: bool,
    /// Whether it was made by the vsyscall page, too.
    pub by_vsyscall: bool,
}

/// A slot, with its path as text.
#[derive(Clone, Debug)]
pub struct SlotView {
    /// The kernel's own record.
    pub slot: Slot,
    /// The cgroup's path; empty where user space tracked it.
    pub path: String,
}

impl Tracer {
    /// A slot as it stands.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn slot(&self, number: u32) -> Result<SlotView, TracerError> {
        let _unpreempted = self.realtime();
        let mut slot = array::<Slot>(&self.ebpf, "SLOTS")?.get(&number, 0)?;
        if slot.unfollowed > 0 {
            // Of those who left since then nobody knows whose they were.
            let before = slot.unknown_before.saturating_sub(1);
            let unknown = self.stats()?.unknown_leavers.saturating_sub(before);
            slot.lost = slot.lost.saturating_add(u32::try_from(unknown).unwrap_or(u32::MAX));
        }
        Ok(SlotView { path: text(&slot.path), slot })
    }

    /// Takes out the cgroups of whose tasks the calls did not go where they might belong: by its id the level of the
    /// cgroup for which they count ([`Refused::level`]), and its path, where that is known.
    ///
    /// # Errors
    /// Where the map can't be read or written.
    pub fn take_refused(&mut self) -> Result<BTreeMap<u64, (u32, String)>, TracerError> {
        let _unpreempted = self.realtime();
        let mut map: HashMap<_, u64, Refused> = self.map_mut("REFUSED")?.try_into()?;
        let all = map.iter().filter_map(Result::ok);
        let all: BTreeMap<_, _> =
            all.map(|(cgroup, refused)| (cgroup, (refused.level, text(&refused.path)))).collect();
        all.keys().try_for_each(|cgroup| map.remove(cgroup))?;
        Ok(all)
    }

    /// All calls that a slot has seen, or says to be told: the truth, whatever the ring buffer took.
    ///
    /// # Errors
    /// Where a map can't be read.
    pub fn calls(&self, number: u32) -> Result<Vec<Calls>, TracerError> {
        let _unpreempted = self.realtime();
        let sets = array::<Sets>(&self.ebpf, "SETS")?.get(&number, 0)?;
        let mut calls = Vec::new();
        for (set, abis) in sets.calls.iter().enumerate() {
            for (abi, numbers) in abis.iter().enumerate() {
                let known = numbers.iter().zip(0..).filter(|(byte, _)| **byte & (SEEN | REPORTED) != 0);
                calls.extend(known.map(|(byte, number)| Calls {
                    abi,
                    number,
                    set,
                    seen: byte & SEEN != 0,
                    told: byte & REPORTED != 0,
                    by_vsyscall: byte & VSYSCALL != 0,
                }));
            }
        }
        if self.slot(number)?.slot.beyond > 0 {
            for entry in self.beyond()?.iter() {
                let (key, byte) = entry?;
                if key.slot == number {
                    calls.push(Calls {
                        abi: usize::from(key.abi),
                        number: key.number,
                        set: usize::from(key.set),
                        seen: true,
                        told: byte & REPORTED != 0,
                        by_vsyscall: false,
                    });
                }
            }
        }
        Ok(calls)
    }

    /// Puts a dead slot back among the free ones, empty.
    ///
    /// # Errors
    /// Where a map can't be written.
    pub fn free(&mut self, number: u32) -> Result<(), TracerError> {
        let _unpreempted = self.realtime();
        let mut slot = self.slot(number)?.slot;
        if slot.beyond > 0 {
            let mut beyond: HashMap<_, HighNumber, u8> = self.map_mut("HIGH_NUMBERS")?.try_into()?;
            let keys: Vec<HighNumber> =
                beyond.keys().filter_map(Result::ok).filter(|key| key.slot == number).collect();
            for key in &keys {
                beyond.remove(key)?;
            }
            self.control([control::DROP_HIGH_NUMBERS, keys.len() as u64, 0, 0])?;
        }
        if slot.denials > 0 {
            let mut denials: HashMap<_, Denial, Denied> = self.map_mut("DENIALS")?.try_into()?;
            let keys: Vec<Denial> =
                denials.keys().filter_map(Result::ok).filter(|key| key.slot == number).collect();
            keys.iter().try_for_each(|key| denials.remove(key))?;
        }
        if slot.filters > 0 {
            let mut filters: HashMap<_, FilterKey, Known> = self.map_mut("FILTERS")?.try_into()?;
            let keys: Vec<FilterKey> =
                filters.keys().filter_map(Result::ok).filter(|key| key.slot == number).collect();
            // The kernel takes some out by itself.
            keys.iter().for_each(|key| drop(filters.remove(key)));
        }
        self.release(number)?;
        let generation = slot.generation.wrapping_add(1);
        // SAFETY: plain integers, for all of which zero is a value.
        slot = unsafe { std::mem::zeroed() };
        slot.generation = generation;
        slot.state = state::FREE;
        self.free_counter(number)?;
        Array::<_, Sets>::try_from(self.map_mut("SETS")?)?.set(
            number,
            Sets { calls: [[[0; NUMBERS]; ABIS]; set::COUNT], counter: 0 },
            0,
        )?;
        Array::<_, Slot>::try_from(self.map_mut("SLOTS")?)?.set(number, slot, 0)?;
        // Only now can the kernel take it again.
        Ok(Queue::<_, u32>::try_from(self.map_mut("FREE")?)?.push(number, 0)?)
    }

    /// The processes that are followed one by one for a slot.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn followed(&self, number: u32) -> Result<Vec<u32>, TracerError> {
        let slot = self.slot(number)?.slot;
        if slot.flags & flag::FOLLOWED == 0 || slot.followed == 0 {
            return Ok(Vec::new());
        }
        let _unpreempted = self.realtime();
        let map = self.ebpf.map("FOLLOWED").ok_or(TracerError::Missing("FOLLOWED"))?;
        let map: HashMap<_, u32, Owner> = map.try_into()?;
        let its = map.iter().filter_map(Result::ok);
        Ok(its
            .filter(|(_, owner)| owner.slot == number && owner.generation == slot.generation)
            .map(|(pid, _)| pid)
            .collect())
    }

    /// The cgroups that are in a slot. Reads the whole table.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn cgroups_of(&self, number: u32) -> Result<Vec<u64>, TracerError> {
        let _unpreempted = self.realtime();
        let cells = array::<Cell>(&self.ebpf, "CGROUPS")?;
        let mut cgroups = Vec::new();
        for cell in cells.iter() {
            let cell = cell?;
            if cell.slot != cell::IGNORED
                && cell.slot & !cell::GUARDED == number
                && (cell::ROOT..cell::REMOVED).contains(&cell.cgroup)
            {
                cgroups.push(cell.cgroup);
            }
        }
        Ok(cgroups)
    }

    /// What filters have denied a slot's threads.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn denials(&self, slot: &Slot, number: u32) -> Result<Vec<(Denial, Denied)>, TracerError> {
        let _unpreempted = self.realtime();
        if slot.denials == 0 {
            return Ok(Vec::new());
        }
        let denials = self.ebpf.map("DENIALS").ok_or(TracerError::Missing("DENIALS"))?;
        let denials: HashMap<_, Denial, Denied> = denials.try_into()?;
        let all = denials.iter().filter(|entry| !matches!(entry, Ok((key, _)) if key.slot != number));
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// A thread is in this call ([`seccomp_trace_common::inside`]), unless the kernel knows better.
    ///
    /// # Errors
    /// Where the map can't be written.
    pub fn set_inside(&mut self, thread: u32, call: u32) -> Result<(), TracerError> {
        let _unpreempted = self.realtime();
        let mut inside: HashMap<_, u32, u32> = self.map_mut("CURRENT_CALL")?.try_into()?;
        match inside.insert(thread, call, BPF_NOEXIST) {
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == std::io::ErrorKind::AlreadyExists =>
            {
                Ok(())
            }
            result => Ok(result?),
        }
    }

    fn beyond(&self) -> Result<HashMap<&MapData, HighNumber, u8>, TracerError> {
        Ok(self.ebpf.map("HIGH_NUMBERS").ok_or(TracerError::Missing("HIGH_NUMBERS"))?.try_into()?)
    }

    pub(super) fn map_mut(&mut self, name: &'static str) -> Result<&mut aya::maps::Map, TracerError> {
        self.ebpf.map_mut(name).ok_or(TracerError::Missing(name))
    }
}

/// What the kernel wrote there, up to the closing zero.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

pub(super) fn array<'a, T: Pod>(
    ebpf: &'a Ebpf,
    name: &'static str,
) -> Result<Array<&'a MapData, T>, TracerError> {
    Ok(ebpf.map(name).ok_or(TracerError::Missing(name))?.try_into()?)
}
