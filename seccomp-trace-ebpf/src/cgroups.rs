//! Which cgroup is whose: an open-addressed table from cgroup ids to slots, read without locks, written with
//! compare-exchange. Who comes into it, and when, says [`crate::enrol`].

use core::mem::offset_of;

use aya_ebpf::{macros::map, maps::Array};
use seccomp_trace_common::{
    Cell, LEVELS, PROBES,
    cell::{BUSY, EMPTY, GUARDED, IGNORED, REMOVED},
};

use crate::{
    atomic::{bump, change_bits, exchange},
    identity,
    kernel::{self, Cgroup, CssSet, Current, KernelTask},
    rolled::rolled,
    slots,
};

/// Sized at load: a power of two, four times the cgroups that it may hold.
#[map]
static CGROUPS: Array<Cell> = Array::with_max_entries(1, 0);

/// Fibonacci hashing: ids of cgroups grow by one, this spreads them.
#[inline(always)]
fn home(cgroup: u64) -> u32 {
    (cgroup.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

#[inline(always)]
fn place_of(cgroup: u64) -> Option<(u32, *mut Cell)> {
    let (home, mask) = (home(cgroup), kernel::table_mask());
    for probe in rolled(PROBES) {
        let place = home.wrapping_add(probe) & mask;
        let cell = CGROUPS.get_ptr_mut(place)?;
        // SAFETY: the map's own memory; a cell is written whole before its id is.
        match unsafe { (*cell).cgroup } {
            id if id == cgroup => return Some((place, cell)),
            EMPTY => return None,
            _ => {}
        }
    }
    None
}

/// No cgroup asked about has a cell. As a slot's number it is [`IGNORED`].
pub const NOBODY: u64 = u64::MAX;

/// What the cell of a cgroup says: a slot, perhaps [`GUARDED`], or [`IGNORED`]; or [`NOBODY`]. As a global function it is verified
/// once, and not at each call: that would take a tenth of a second. The same for the others that are one.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cell_of_id(cgroup: u64) -> u64 {
    // SAFETY: see `place_of`.
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
pub extern "C" fn nearest(cgroup: u64) -> u64 {
    let cgroup = Cgroup(cgroup);
    let Some(level) = cgroup.level() else { return NOBODY };
    let deepest = if level > LEVELS { LEVELS } else { level };
    for above in 0..LEVELS {
        // The compiler would count down to nothing, of which older verifiers (6.1) don't see that it ends.
        let mut deepest = u64::from(deepest);
        // SAFETY: a register that keeps its value.
        unsafe { core::arch::asm!("{0} = {0}", inout(reg) deepest) };
        if u64::from(above) >= deepest {
            break;
        }
        let slot = slot_of_ancestor(cgroup.0, deepest - u64::from(above));
        if slot != NOBODY {
            return slot;
        }
    }
    NOBODY
}

/// The slot of what a cgroup lies in at a level, likewise.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn slot_of_ancestor(cgroup: u64, level: u64) -> u64 {
    Cgroup(cgroup).ancestor(level as u32).map_or(NOBODY, slot_of_id)
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
    let cell = CGROUPS.get_ptr_mut(home(cgroup) & kernel::table_mask())?;
    // SAFETY: see `place_of`.
    let slot = match unsafe { (*cell).cgroup } {
        id if id == cgroup => u64::from(unsafe { (*cell).slot }),
        EMPTY => NOBODY,
        _ => cell_of_id(cgroup),
    };
    if slot < u64::from(GUARDED) {
        return Some(slot as u32);
    }
    if slot >= u64::from(IGNORED) && identity::is_unmarked(current) && !slots::is_any_crowded() {
        return None;
    }
    let slot = owner_by_cgroup(slot);
    (slot < u64::from(IGNORED)).then_some(slot as u32)
}

/// The slot whose the current task is, which is in a cgroup with this cell.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn owner_by_cgroup(cell: u64) -> u64 {
    let by_cgroup = match cell {
        NOBODY if slots::is_any_crowded() => nearest_to_current(),
        NOBODY => NOBODY,
        cell => u64::from(unguarded(cell as u32)),
    };
    identity::owner_of(KernelTask::current().0, by_cgroup)
}

/// Somebody else's task has come into a cgroup, which can be told only by asking: from now on each call there is asked whose it is,
/// also one that the cgroup's own slot has told already. False where that was so before.
pub fn guard(cgroup: Cgroup) -> bool {
    guard_id(cgroup.id().unwrap_or(EMPTY)) != 0
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn guard_id(cgroup: u64) -> u64 {
    const { assert!(offset_of!(Cell, slot).is_multiple_of(8)) };
    let Some((_, cell)) = place_of(cgroup) else { return 0 };
    // SAFETY: as in `place_of`.
    unsafe {
        if (*cell).slot >= GUARDED {
            return 0;
        }
        change_bits((&raw mut (*cell).slot).cast(), GUARDED, 0);
    }
    1
}

#[inline(never)]
fn nearest_to_current() -> u64 {
    KernelTask::current().cgroup().map_or(NOBODY, |cgroup| nearest(cgroup.0))
}

/// The slot of a cgroup of the default hierarchy, where it is traced.
pub fn traced(cgroup: Cgroup) -> Option<u32> {
    somebody(slot_by(cgroup))
}

/// Likewise, or [`IGNORED`], or [`NOBODY`].
#[inline(always)]
pub fn slot_by(cgroup: Cgroup) -> u64 {
    let Some(id) = cgroup.id() else { return NOBODY };
    match slot_of_id(id) {
        NOBODY if slots::is_any_crowded() => nearest(cgroup.0),
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
    // SAFETY: a counter of our own. Its compare-exchange is a full barrier: whoever sweeps sees it, or we see what was swept.
    unsafe {
        if bump(&raw mut INSERTING, 1) == u64::MAX {
            return 0;
        }
        let is_in = insert_now(cgroup, slot);
        bump(&raw mut INSERTING, -1);
        u32::from(is_in)
    }
}

#[inline(always)]
fn insert_now(cgroup: u64, slot: u32) -> bool {
    let (home, mask) = (home(cgroup), kernel::table_mask());
    for probe in rolled(PROBES) {
        let Some(cell) = CGROUPS.get_ptr_mut(home.wrapping_add(probe) & mask) else { return false };
        if claim(cell) {
            // SAFETY: as in `place_of`; the id is claimed first and written last.
            unsafe {
                (*cell).slot = slot;
                return exchange(&raw mut (*cell).cgroup, BUSY, cgroup);
            }
        }
    }
    false
}

/// Makes a free cell ours. One that was removed may become empty in this instant: it must not be passed, since nobody
/// looks behind it. What changes twice has been taken.
#[inline(always)]
fn claim(cell: *mut Cell) -> bool {
    // SAFETY: as in `place_of`.
    unsafe {
        let id = &raw mut (*cell).cgroup;
        let free = |id: u64| id == EMPTY || id == REMOVED;
        let old = *id;
        if !free(old) {
            return false;
        }
        exchange(id, old, BUSY) || exchange(id, EMPTY, BUSY)
    }
}

/// Gives an enrolled cgroup another slot, and returns the one it had.
pub fn replace(cgroup: u64, slot: u32) -> Option<u32> {
    let (_, cell) = place_of(cgroup)?;
    // SAFETY: as in `place_of`.
    unsafe {
        let old = unguarded((*cell).slot);
        (*cell).slot = slot;
        Some(old)
    }
}

/// Takes a cgroup out, and returns the slot it had.
pub fn remove(cgroup: u64) -> Option<u32> {
    let (place, cell) = place_of(cgroup)?;
    // SAFETY: as in `place_of`.
    unsafe {
        let slot = unguarded((*cell).slot);
        if !exchange(&raw mut (*cell).cgroup, cgroup, REMOVED) {
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
    let mask = kernel::table_mask();
    for back in rolled(PROBES) {
        let here = place.wrapping_sub(back);
        let Some(behind) = CGROUPS.get_ptr_mut(here.wrapping_add(1) & mask) else { return };
        let Some(cell) = CGROUPS.get_ptr_mut(here & mask) else { return };
        // SAFETY: as in `place_of`, and a counter of our own.
        unsafe {
            let id = &raw mut (*cell).cgroup;
            let may_go = exchange(id, REMOVED, REMOVED)
                && core::ptr::read_volatile(&raw const INSERTING) == 0
                && core::ptr::read_volatile(&raw const (*behind).cgroup) == EMPTY;
            if !may_go || !exchange(id, REMOVED, EMPTY) {
                return;
            }
        }
    }
}
