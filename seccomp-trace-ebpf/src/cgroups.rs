//! Which cgroup is whose: an open-addressed table from cgroup ids to slots, read without locks, written in atomic
//! steps. Who comes into it, and when, says [`crate::track`].

use core::mem::offset_of;

use aya_ebpf::{macros::map, maps::Array};
use seccomp_trace_common::{
    Cell, LEVELS, PROBES,
    cell::{BUSY, EMPTY, GUARDED, IGNORED, REMOVED},
};

use crate::{
    atomic::{compare_exchange, fetch_add, set_bits},
    bounded_loop::{LAST, NEXT, bounded_loop},
    identity,
    kernel::{self, Cgroup, CssSet, Current, KernelTask},
    slots,
};

/// Sized at load: a power of two, four times the cgroups that it may hold.
#[map]
static CGROUPS: Array<Cell> = Array::with_max_entries(1, 0);

/// Fibonacci hashing: ids of cgroups grow by one, this spreads them.
#[inline(always)]
fn hash_of(cgroup: u64) -> u32 {
    (cgroup.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

fn place_of(cgroup: u64) -> Option<(u32, *mut Cell)> {
    let mut probe = Probe { cgroup, place: NOWHERE };
    bounded_loop(PROBES, &mut probe, next_probe);
    if probe.place == NOWHERE {
        return None;
    }
    let place = probe.place as u32;
    Some((place, CGROUPS.get_ptr_mut(place & kernel::table_mask())?))
}

/// A cgroup that is looked for, and where it is found.
struct Probe {
    cgroup: u64,
    place: u64,
}

const NOWHERE: u64 = u64::MAX;

extern "C" fn next_probe(step: u64, probe: &mut Probe) -> u64 {
    let place = hash_of(probe.cgroup).wrapping_add(step as u32) & kernel::table_mask();
    let Some(cell) = CGROUPS.get_ptr_mut(place) else { return LAST };
    // SAFETY: the map's own memory; a cell is written whole before its id is.
    match unsafe { (*cell).cgroup } {
        EMPTY => LAST,
        id if id == probe.cgroup => {
            probe.place = u64::from(place);
            LAST
        }
        _ => NEXT,
    }
}

/// No cgroup asked about has a cell. As a slot's number it is [`IGNORED`].
pub const NOBODY: u64 = u64::MAX;

/// What the cell of a cgroup says: a slot, perhaps [`GUARDED`], or [`IGNORED`]; or [`NOBODY`]. As a global function it is verified
/// once, and not at each call. The same for the others that are one.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cell_of_id(cgroup: u64) -> u64 {
    // SAFETY: see `next_probe`.
    place_of(cgroup).map_or(NOBODY, |(_, cell)| u64::from(unsafe { (*cell).slot }))
}

fn unguarded(slot: u32) -> u32 {
    if slot == IGNORED { IGNORED } else { slot & !GUARDED }
}

/// The slot of a cgroup that has a cell, or [`IGNORED`], or [`NOBODY`].
pub fn slot_of_id(cgroup: u64) -> u64 {
    match cell_of_id(cgroup) {
        NOBODY => NOBODY,
        slot => u64::from(unguarded(slot as u32)),
    }
}

/// The slot of the nearest ancestor that has a cell, or [`IGNORED`], or [`NOBODY`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nearest_tracked_ancestor(cgroup: u64) -> u64 {
    let cgroup = Cgroup(cgroup);
    let level = cgroup.level();
    let deepest = if level > LEVELS { LEVELS } else { level };
    let mut ancestors = Ancestors { cgroup: cgroup.0, deepest: u64::from(deepest), slot: NOBODY };
    bounded_loop(deepest, &mut ancestors, next_ancestor);
    ancestors.slot
}

/// What a cgroup lies in, from the deepest on that is looked at.
struct Ancestors {
    cgroup: u64,
    deepest: u64,
    slot: u64,
}

extern "C" fn next_ancestor(above: u64, ancestors: &mut Ancestors) -> u64 {
    let ancestor = Cgroup(ancestors.cgroup).ancestor((ancestors.deepest - above) as u32);
    ancestors.slot = slot_of_id(ancestor);
    if ancestors.slot == NOBODY { NEXT } else { LAST }
}

/// The slot of a cgroup that has a cell, or [`IGNORED`].
pub fn slot_of(cgroup: u64) -> Option<u32> {
    let slot = slot_of_id(cgroup);
    (slot != NOBODY).then_some(slot as u32)
}

/// The slot whose the current task is, where it is traced. On the hot path: the first cell is looked at here, where
/// nearly all are found, or found missing.
#[inline(always)]
pub fn traced_now(current: Current, css_set: CssSet) -> Option<u32> {
    let cgroup = css_set.cgroup_id();
    let cell = CGROUPS.get_ptr_mut(hash_of(cgroup) & kernel::table_mask())?;
    // SAFETY: see `next_probe`.
    let slot = match unsafe { (*cell).cgroup } {
        id if id == cgroup => u64::from(unsafe { (*cell).slot }),
        // Most are the host's. Asked here alone: the verifier takes long for each way to such a question.
        EMPTY if identity::is_unmarked(current) && !slots::has_any_overflow() => return None,
        EMPTY => NOBODY,
        _ => cell_of_id(cgroup),
    };
    if slot < u64::from(GUARDED) {
        return Some(slot as u32);
    }
    let slot = owner_by_cgroup(slot);
    (slot < u64::from(IGNORED)).then_some(slot as u32)
}

/// The slot whose the current task is, which is in a cgroup with this cell.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn owner_by_cgroup(cell: u64) -> u64 {
    let by_cgroup = match cell {
        NOBODY if slots::has_any_overflow() => nearest_to_current(),
        NOBODY => NOBODY,
        cell => u64::from(unguarded(cell as u32)),
    };
    identity::owner_of(KernelTask::current().0, by_cgroup)
}

/// Somebody else's task has come into a cgroup, which can be told only by asking: from now on each call there is asked whose it is,
/// also one that the cgroup's own slot has told already. False where that was so before.
pub fn guard(cgroup: Cgroup) -> bool {
    guard_id(cgroup.id()) != 0
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn guard_id(cgroup: u64) -> u64 {
    const { assert!(offset_of!(Cell, slot).is_multiple_of(8)) };
    let Some((_, cell)) = place_of(cgroup) else { return 0 };
    // SAFETY: as in `next_probe`.
    unsafe {
        if (*cell).slot >= GUARDED {
            return 0;
        }
        set_bits((&raw mut (*cell).slot).cast(), u64::from(GUARDED));
    }
    1
}

#[inline(never)]
fn nearest_to_current() -> u64 {
    nearest_tracked_ancestor(KernelTask::current().cgroup().0)
}

/// The slot of a cgroup of the default hierarchy, where it is traced.
pub fn traced(cgroup: Cgroup) -> Option<u32> {
    somebody(slot_by(cgroup))
}

/// Likewise, or [`IGNORED`], or [`NOBODY`].
#[inline(always)]
pub fn slot_by(cgroup: Cgroup) -> u64 {
    match slot_of_id(cgroup.id()) {
        NOBODY if slots::has_any_overflow() => nearest_tracked_ancestor(cgroup.0),
        slot => slot,
    }
}

/// A slot that is neither [`IGNORED`] nor [`NOBODY`].
#[inline(always)]
pub fn somebody(slot: u64) -> Option<u32> {
    (slot as u32 != IGNORED).then_some(slot as u32)
}

/// Who inserts a cgroup at this moment: no cell is emptied meanwhile.
static mut INSERTING: u64 = 0;

/// Enters a cgroup that is not in the table. False where no cell is free.
pub fn insert(cgroup: u64, slot: u32) -> bool {
    insert_id(cgroup, slot) != 0
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn insert_id(cgroup: u64, slot: u32) -> u32 {
    // SAFETY: a counter of our own. To add and read is a full barrier: whoever sweeps sees it, or we see what was swept.
    unsafe {
        fetch_add(&raw mut INSERTING, 1);
        let is_in = insert_now(cgroup, slot);
        fetch_add(&raw mut INSERTING, -1);
        u32::from(is_in)
    }
}

#[inline(always)]
fn insert_now(cgroup: u64, slot: u32) -> bool {
    let mut insertion = Insertion { cgroup, slot: u64::from(slot), is_in: 0 };
    bounded_loop(PROBES, &mut insertion, next_insertion);
    insertion.is_in != 0
}

/// A cgroup that is to have a cell, and whether it has got one.
struct Insertion {
    cgroup: u64,
    slot: u64,
    is_in: u64,
}

extern "C" fn next_insertion(step: u64, insertion: &mut Insertion) -> u64 {
    let place = hash_of(insertion.cgroup).wrapping_add(step as u32) & kernel::table_mask();
    let Some(cell) = CGROUPS.get_ptr_mut(place) else { return LAST };
    if !claim(cell) {
        return NEXT;
    }
    // SAFETY: as in `next_probe`; the id is claimed first and written last.
    unsafe {
        (*cell).slot = insertion.slot as u32;
        insertion.is_in = u64::from(compare_exchange(&raw mut (*cell).cgroup, BUSY, insertion.cgroup));
    }
    LAST
}

/// Makes a free cell ours. One that was removed may become empty in this instant: it must not be passed, since nobody
/// looks behind it. What changes twice has been taken.
#[inline(always)]
fn claim(cell: *mut Cell) -> bool {
    // SAFETY: as in `next_probe`.
    unsafe {
        let id = &raw mut (*cell).cgroup;
        let free = |id: u64| id == EMPTY || id == REMOVED;
        let old = *id;
        if !free(old) {
            return false;
        }
        compare_exchange(id, old, BUSY) || compare_exchange(id, EMPTY, BUSY)
    }
}

/// Gives a tracked cgroup another slot, and returns the one it had.
pub fn replace(cgroup: u64, slot: u32) -> Option<u32> {
    let (_, cell) = place_of(cgroup)?;
    // SAFETY: as in `next_probe`.
    unsafe {
        let old = unguarded((*cell).slot);
        (*cell).slot = slot;
        Some(old)
    }
}

/// Takes a cgroup out, and returns the slot it had.
pub fn remove(cgroup: u64) -> Option<u32> {
    let (place, cell) = place_of(cgroup)?;
    // SAFETY: as in `next_probe`.
    unsafe {
        let slot = unguarded((*cell).slot);
        if !compare_exchange(&raw mut (*cell).cgroup, cgroup, REMOVED) {
            return None;
        }
        sweep(place);
        Some(slot)
    }
}

/// Removed cells with nothing behind them are empty ones: else every look-up in vain would go over the cgroups of days.
/// No cgroup in use may come to lie behind a cell that becomes empty, so each step looks, in this order: the cell is a
/// removed one (by a compare-exchange, thus a full barrier); nobody who may have passed it before is still inserting;
/// and the next one is empty. Who begins to insert after that takes a removed cell, or an empty one, and passes neither.
fn sweep(place: u32) {
    bounded_loop(PROBES, &mut u64::from(place), next_sweep);
}

extern "C" fn next_sweep(back: u64, place: &mut u64) -> u64 {
    let (here, mask) = ((*place as u32).wrapping_sub(back as u32), kernel::table_mask());
    let Some(behind) = CGROUPS.get_ptr_mut(here.wrapping_add(1) & mask) else { return LAST };
    let Some(cell) = CGROUPS.get_ptr_mut(here & mask) else { return LAST };
    // SAFETY: as in `next_probe`, and a counter of our own.
    unsafe {
        let id = &raw mut (*cell).cgroup;
        let may_go = compare_exchange(id, REMOVED, REMOVED)
            && core::ptr::read_volatile(&raw const INSERTING) == 0
            && core::ptr::read_volatile(&raw const (*behind).cgroup) == EMPTY;
        if may_go && compare_exchange(id, REMOVED, EMPTY) { NEXT } else { LAST }
    }
}
