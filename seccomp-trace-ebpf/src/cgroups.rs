//! Which cgroup is whose: an open-addressed table from cgroup ids to slots, read without locks, written with
//! compare-exchange. New cgroups enrol themselves here, in the kernel, before anything can run in them.

use aya_ebpf::{
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use aya_log_ebpf::debug;
use seccomp_trace_common::{
    Cell, PROBES,
    cell::{BUSY, EMPTY, IGNORED, REMOVED},
    flag,
};

use crate::{
    kernel::{self, Cgroup},
    slots::{self, exchange},
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
fn cell_of(cgroup: u64) -> Option<*mut Cell> {
    let (home, mask) = (home(cgroup), kernel::table_mask());
    for probe in 0..PROBES as u32 {
        let cell = CGROUPS.get_ptr_mut(home.wrapping_add(probe) & mask)?;
        // SAFETY: the map's own memory; a cell is written whole before its id is.
        match unsafe { (*cell).cgroup } {
            id if id == cgroup => return Some(cell),
            EMPTY => return None,
            _ => {}
        }
    }
    None
}

/// The slot of a cgroup, or [`IGNORED`]; none where it was never enrolled.
#[inline(always)]
pub fn slot_of(cgroup: u64) -> Option<u32> {
    // SAFETY: see `cell_of`.
    cell_of(cgroup).map(|cell| unsafe { (*cell).slot })
}

/// The slot of a cgroup that is traced.
#[inline(always)]
pub fn traced(cgroup: u64) -> Option<u32> {
    slot_of(cgroup).filter(|slot| *slot != IGNORED)
}

/// The slot of a traced cgroup of the default hierarchy.
pub fn traced_cgroup(cgroup: Cgroup) -> Option<u32> {
    traced(cgroup.id()?)
}

/// Enters a cgroup that is not in the table. False where no cell is free.
pub fn insert(cgroup: u64, slot: u32) -> bool {
    let (home, mask) = (home(cgroup), kernel::table_mask());
    for probe in 0..PROBES as u32 {
        let Some(cell) = CGROUPS.get_ptr_mut(home.wrapping_add(probe) & mask) else { return false };
        // SAFETY: as in `cell_of`; the id is claimed first and written last.
        unsafe {
            let id = &raw mut (*cell).cgroup;
            let old = *id;
            if (old == EMPTY || old == REMOVED) && exchange(id, old, BUSY) {
                (*cell).slot = slot;
                return exchange(id, BUSY, cgroup);
            }
        }
    }
    slots::count_no_cell();
    false
}

/// Slots whose cgroups below are theirs, also before anything has run in them under our eyes.
const INHERITED: u32 = flag::COMMAND | flag::PINNED | flag::RUNNING;

/// Makes a cgroup part of the slot that another one has. False where that one has it no longer: user space takes
/// cgroups out without the kernel's cgroup_mutex.
pub fn join(cgroup: u64, slot: u32, other: u64) -> bool {
    // Counted first: a slot that nobody is counted in is freed.
    if !slots::add_cgroup(slot) {
        return false;
    }
    let is_there = slot_of(other) == Some(slot);
    if is_there && insert(cgroup, slot) {
        return true;
    }
    if is_there {
        // No cell is free: what is called in this cgroup will be missing.
        slots::lose_call(slot);
    }
    slots::drop_cgroup(slot);
    is_there
}

/// Gives an enrolled cgroup another slot, and returns the one it had.
pub fn replace(cgroup: u64, slot: u32) -> Option<u32> {
    let cell = cell_of(cgroup)?;
    // SAFETY: as in `cell_of`.
    unsafe {
        let old = (*cell).slot;
        (*cell).slot = slot;
        Some(old)
    }
}

/// Takes a cgroup out, and returns the slot it had.
pub fn remove(cgroup: u64) -> Option<u32> {
    let cell = cell_of(cgroup)?;
    // SAFETY: as in `cell_of`; look-ups go on over a removed cell.
    unsafe {
        let slot = (*cell).slot;
        exchange(&raw mut (*cell).cgroup, cgroup, REMOVED).then_some(slot)
    }
}

/// `(struct cgroup *cgrp, const char *path)`, under the kernel's cgroup_mutex, before user space can see it.
#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
pub fn cgroup_mkdir(ctx: RawTracePointContext) -> i32 {
    let cgroup = Cgroup(ctx.arg(0));
    if cgroup.is_default()
        && let Some(id) = cgroup.id()
        && let Some(parent_id) = cgroup.parent().and_then(Cgroup::id)
    {
        enrol(&ctx, id, parent_id, ctx.arg(1));
    }
    0
}

/// A container's cgroup can't take a second slot by making cgroups below; a folder of containers is not one.
fn enrol(ctx: &RawTracePointContext, id: u64, parent_id: u64, path: u64) {
    match slot_of(parent_id) {
        Some(IGNORED) => {
            insert(id, IGNORED);
            return;
        }
        Some(slot) => {
            // Where nothing ever ran the parent is a folder, in which an engine makes its containers.
            let is_container = slots::is_used(slot) || slots::has_flag(slot, INHERITED);
            // Where it can't join, the parent was forgotten in this instant.
            if is_container && join(id, slot, parent_id) {
                return;
            }
        }
        None => {}
    }
    if kernel::enrols_new() {
        match slots::take(id, 0, 0, path) {
            Some(slot) if insert(id, slot) => {
                slots::tell_enrolled(slot);
                debug!(ctx, "kernel program: cgroup {} has slot {}", id, slot);
            }
            Some(slot) => {
                slots::drop_cgroup(slot);
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

/// `(struct cgroup *cgrp, const char *path)`.
#[raw_tracepoint(tracepoint = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: RawTracePointContext) -> i32 {
    let cgroup = Cgroup(ctx.arg(0));
    if cgroup.is_default()
        && let Some(slot) = cgroup.id().and_then(remove)
        && slot != IGNORED
    {
        slots::drop_cgroup(slot);
    }
    0
}
