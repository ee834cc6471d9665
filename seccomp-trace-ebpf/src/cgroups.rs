//! Which cgroup is whose: an open-addressed table from cgroup ids to slots, read without locks, written with
//! compare-exchange. New cgroups enrol themselves here, in the kernel, before anything can run in them.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::bpf_probe_read_kernel_str_bytes,
    macros::{map, raw_tracepoint},
    maps::{Array, HashMap},
    programs::RawTracePointContext,
};
use aya_log_ebpf::debug;
use seccomp_trace_common::{
    Cell, LEVELS, PATH_LEN, PROBES,
    cell::{BUSY, EMPTY, IGNORED, REMOVED},
    flag,
};

use crate::{
    kernel::{self, Cgroup, CssSet, KernelTask},
    rolled::rolled,
    slots::{self, exchange},
};

/// Sized at load: a power of two, four times the cgroups that it may hold.
#[map]
static CGROUPS: Array<Cell> = Array::with_max_entries(1, 0);

/// Paths of cgroups that are waited for by their names; user space puts them in, sized at load.
#[map]
static WAITED: HashMap<[u8; PATH_LEN], u8> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);
/// Room for a path. One is enough: cgroups are made one at a time, under the kernel's cgroup_mutex.
#[map]
static PATH: Array<[u8; PATH_LEN]> = Array::with_max_entries(1, 0);

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
const NOBODY: u64 = u64::MAX;

/// The slot of a cgroup that has a cell, or [`IGNORED`], or [`NOBODY`]. As a global function it is verified once, and not
/// at each call: that would take a tenth of a second. The same for the others that are one.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn slot_of_id(cgroup: u64) -> u64 {
    // SAFETY: see `place_of`.
    place_of(cgroup).map_or(NOBODY, |(_, cell)| u64::from(unsafe { (*cell).slot }))
}

/// The slot of the nearest ancestor that has a cell, or [`IGNORED`], or [`NOBODY`].
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn nearest(cgroup: u64) -> u64 {
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
    Cgroup(cgroup).ancestor(level as u32).map_or(NOBODY, |id| slot_of_id(id))
}

/// The slot of a cgroup that has a cell, or [`IGNORED`].
pub fn slot_of(cgroup: u64) -> Option<u32> {
    let slot = slot_of_id(cgroup);
    (slot != NOBODY).then_some(slot as u32)
}

/// The slot of the current task's cgroup, where it is traced. On the hot path: the first cell is looked at here, where
/// nearly all are found, or found missing.
#[inline(always)]
pub fn traced_now(css_set: CssSet) -> Option<u32> {
    let cgroup = css_set.cgroup_id();
    let cell = CGROUPS.get_ptr_mut(home(cgroup) & kernel::table_mask())?;
    // SAFETY: see `place_of`.
    let slot = match unsafe { (*cell).cgroup } {
        id if id == cgroup => u64::from(unsafe { (*cell).slot }),
        EMPTY => NOBODY,
        _ => slot_of_id(cgroup),
    };
    let slot = match slot {
        NOBODY if slots::is_any_crowded() => nearest_to_current(),
        slot => slot,
    };
    // [`NOBODY`] lies above as well.
    (slot < u64::from(IGNORED)).then_some(slot as u32)
}

#[inline(never)]
fn nearest_to_current() -> u64 {
    KernelTask::current().cgroup().map_or(NOBODY, |cgroup| nearest(cgroup.0))
}

/// The slot of a cgroup of the default hierarchy, where it is traced.
pub fn traced(cgroup: Cgroup) -> Option<u32> {
    let slot = match slot_of_id(cgroup.id()?) {
        NOBODY if slots::is_any_crowded() => nearest(cgroup.0),
        slot => slot,
    };
    (slot as u32 != IGNORED).then_some(slot as u32)
}

/// User space inserts: no cell is emptied meanwhile.
static mut INSERTING: u64 = 0;

pub fn begin_to_insert() {
    // SAFETY: a counter of our own.
    unsafe { slots::bump(&raw mut INSERTING, 1) };
}

pub fn end_inserting() {
    // SAFETY: a counter of our own.
    unsafe { slots::bump(&raw mut INSERTING, -1) };
}

/// Enters a cgroup that is not in the table. False where no cell is free.
pub fn insert(cgroup: u64, slot: u32) -> bool {
    insert_id(cgroup, slot) != 0
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn insert_id(cgroup: u64, slot: u32) -> u32 {
    let (home, mask) = (home(cgroup), kernel::table_mask());
    for probe in rolled(PROBES) {
        let Some(cell) = CGROUPS.get_ptr_mut(home.wrapping_add(probe) & mask) else { return 0 };
        if claim(cell) {
            // SAFETY: as in `place_of`; the id is claimed first and written last.
            unsafe {
                (*cell).slot = slot;
                return u32::from(exchange(&raw mut (*cell).cgroup, BUSY, cgroup));
            }
        }
    }
    slots::count_no_cell();
    0
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

/// Slots whose cgroups below are theirs, also before anything has run in them under our eyes.
const INHERITED: u32 = flag::COMMAND | flag::PINNED | flag::RUNNING;

/// Makes a new cgroup part of the slot in which it lies. False where the slot has it no longer: user space takes cgroups
/// out without the kernel's cgroup_mutex.
fn join(cgroup: Cgroup, id: u64, slot: u32) -> bool {
    if slots::is_full(slot) {
        slots::crowd(slot);
        if nearest(cgroup.0) != u64::from(slot) {
            // Deeper than anybody looks.
            slots::lose_call(slot);
        }
        return true;
    }
    // Counted first: a slot that has no cell is freed.
    if !slots::add_cell(slot) {
        return false;
    }
    let is_there = slot_above(cgroup) == u64::from(slot);
    if is_there && insert(id, slot) {
        return true;
    }
    if is_there {
        // No cell is free: what is called in this cgroup will be missing.
        slots::lose_call(slot);
    }
    slots::drop_cell(slot);
    is_there
}

/// Gives an enrolled cgroup another slot, and returns the one it had.
pub fn replace(cgroup: u64, slot: u32) -> Option<u32> {
    let (_, cell) = place_of(cgroup)?;
    // SAFETY: as in `place_of`.
    unsafe {
        let old = (*cell).slot;
        (*cell).slot = slot;
        Some(old)
    }
}

/// Takes a cgroup out, and returns the slot it had, and its place. Look-ups go on over a removed cell.
fn take_out(cgroup: u64) -> Option<(u32, u32)> {
    let (place, cell) = place_of(cgroup)?;
    // SAFETY: as in `place_of`.
    unsafe {
        let slot = (*cell).slot;
        exchange(&raw mut (*cell).cgroup, cgroup, REMOVED).then_some((slot, place))
    }
}

/// Takes a cgroup out, and returns the slot it had.
pub fn remove(cgroup: u64) -> Option<u32> {
    take_out(cgroup).map(|(slot, _)| slot)
}

/// Removed cells with nothing behind them are empty ones: else every look-up in vain would go over the cgroups of days.
/// Nobody inserts beside us: cgroup_mkdir holds the same mutex, user space is announced, and one that begins only now
/// takes a removed cell and does not pass it. So no cgroup in use lies behind a cell that becomes empty.
fn sweep(place: u32) {
    // SAFETY: a counter of our own; read after the cell was marked, by a full barrier.
    if unsafe { core::ptr::read_volatile(&raw const INSERTING) } != 0 {
        return;
    }
    let mask = kernel::table_mask();
    let Some(behind) = CGROUPS.get_ptr_mut(place.wrapping_add(1) & mask) else { return };
    // SAFETY: as in `place_of`.
    if unsafe { (*behind).cgroup } != EMPTY {
        return;
    }
    for back in rolled(PROBES) {
        let Some(cell) = CGROUPS.get_ptr_mut(place.wrapping_sub(back) & mask) else { return };
        // SAFETY: as in `place_of`.
        if !unsafe { exchange(&raw mut (*cell).cgroup, REMOVED, EMPTY) } {
            return;
        }
    }
}

/// `(struct cgroup *cgrp, const char *path)`, under the kernel's cgroup_mutex, before user space can see it.
#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
pub fn cgroup_mkdir(ctx: RawTracePointContext) -> i32 {
    let cgroup = Cgroup(ctx.arg(0));
    if cgroup.is_default()
        && let Some(id) = cgroup.id()
    {
        enrol(&ctx, cgroup, id, ctx.arg(1));
    }
    0
}

/// A container's cgroup can't take a second slot by making cgroups below; a folder of containers is not one.
fn enrol(ctx: &RawTracePointContext, cgroup: Cgroup, id: u64, path: u64) {
    match slot_above(cgroup) {
        NOBODY => {}
        // What a container makes that nobody asked for takes no room.
        slot if slot == u64::from(IGNORED) => return,
        slot => {
            let slot = slot as u32;
            // Where nothing ever ran the parent is a folder, in which an engine makes its containers.
            let is_container = slots::is_used(slot) || slots::has_flag(slot, INHERITED);
            // Where it can't join, the parent was forgotten in this instant.
            if is_container && join(cgroup, id, slot) {
                return;
            }
        }
    }
    let flags = if kernel::waits() && is_waited_for(path) { flag::PINNED } else { 0 };
    if flags != 0 || kernel::enrols_new() {
        match slots::take(id, flags, 0, path) {
            Some(slot) if insert(id, slot) => {
                slots::tell_enrolled(slot);
                debug!(ctx, "kernel program: cgroup {} has slot {}", id, slot);
            }
            Some(slot) => {
                slots::drop_cell(slot);
                debug!(ctx, "kernel program: no free cell for cgroup {}", id);
            }
            // What is made below must not take the next free slot in its place.
            None => {
                insert(id, IGNORED);
                debug!(ctx, "kernel program: no free slot for cgroup {}", id);
            }
        }
    }
}

#[allow(clippy::needless_borrows_for_generic_args, reason = "the key itself would not fit the stack")]
fn is_waited_for(path: u64) -> bool {
    let Some(key) = PATH.get_ptr_mut(0) else { return false };
    // SAFETY: the map's own memory; the helper checks the path's address.
    unsafe {
        *key = [0; PATH_LEN];
        bpf_probe_read_kernel_str_bytes(path as *const u8, &mut *key).is_ok()
            && WAITED.get_ptr(&*key).is_some()
    }
}

/// The slot in which a new cgroup lies, or [`IGNORED`], or [`NOBODY`]. Its parent may lie deeper than [`nearest`] looks.
fn slot_above(cgroup: Cgroup) -> u64 {
    let parent = cgroup.level().and_then(|level| cgroup.ancestor(level.wrapping_sub(1)));
    match parent.map_or(NOBODY, |parent| slot_of_id(parent)) {
        NOBODY => nearest(cgroup.0),
        slot => slot,
    }
}

/// `(struct cgroup *cgrp, const char *path)`, likewise.
#[raw_tracepoint(tracepoint = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: RawTracePointContext) -> i32 {
    let cgroup = Cgroup(ctx.arg(0));
    if cgroup.is_default()
        && let Some((slot, place)) = cgroup.id().and_then(take_out)
    {
        sweep(place);
        if slot != IGNORED {
            slots::drop_cell(slot);
        }
    }
    0
}
