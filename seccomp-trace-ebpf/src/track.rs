//! Who gets a slot, and when. A new cgroup costs neither a slot nor a cell: anybody may make as many as he likes. Who made it
//! is noted, and the first task that comes into it takes the slot. Only one below a container's is the container's at once.
#![allow(clippy::needless_borrows_for_generic_args, reason = "a note would not fit the stack")]

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    helpers::{bpf_probe_read_kernel_buf, bpf_probe_read_kernel_str_bytes},
    macros::{map, raw_tracepoint},
    maps::{HashMap, LruHashMap, PerCpuArray},
    programs::RawTracePointContext,
};
use aya_log_ebpf::debug;
use seccomp_trace_common::{MAX_MADE, MAX_REFUSED, Made, PATH_LEN, Refused, cell::IGNORED, event, flag};

use crate::{
    cgroups::{self, NOBODY, insert, nearest_tracked_ancestor, slot_of_id, traced},
    events,
    kernel::{self, Cgroup, KernelTask},
    slots,
};

/// Paths of cgroups that are waited for by their names; user space puts them in, sized at load.
#[map]
static AWAITED_PATHS: HashMap<[u8; PATH_LEN], u8> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);
/// Who made the cgroups in which no task has been yet. A note that had to make room is no loss: who brings the first task is
/// mostly who made it.
#[map]
static MADE: LruHashMap<u64, Made> = LruHashMap::with_max_entries(MAX_MADE, 0);
/// Room for a note on each processor: for a cgroup that is made, one into which a task is moved, and one where it is born. No
/// program runs on a processor while it runs there already.
#[map]
static NOTE: PerCpuArray<Made> = PerCpuArray::with_max_entries(3, 0);
const OF_MKDIR: u32 = 0;
const OF_MOVE: u32 = 1;
const OF_BIRTH: u32 = 2;
/// Cgroups whose calls, or some of them, went nowhere or to somebody else's slot; user space takes them out.
#[map]
static REFUSED: HashMap<u64, Refused> = HashMap::with_max_entries(MAX_REFUSED, BPF_F_NO_PREALLOC);
/// Cgroups that are getting their slot in this instant: a task may be born there while another one is moved in.
#[map]
static TAKING: HashMap<u64, u32> = HashMap::with_max_entries(1024, 0);

/// The first cgroup that was made under our eyes. Ids only grow (`kernfs_new_node` in fs/kernfs/dir.c), so one with a smaller
/// id may have had tasks before us: what runs there is for user space to track.
static mut FIRST_MADE: u64 = 0;

/// Slots whose cgroups below are theirs, whoever makes them.
const OWNERS: u32 = flag::RUN_COMMAND | flag::NAMED_CGROUP | flag::ATTACHED_LATE | flag::CONTAINER;

/// `(struct cgroup *cgrp, const char *path)`, under the kernel's cgroup_mutex, before user space can see it.
#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
pub fn cgroup_mkdir(ctx: RawTracePointContext) -> i32 {
    let cgroup = Cgroup(ctx.arg(0));
    if cgroup.is_default() {
        let id = cgroup.id();
        made(cgroup, id, ctx.arg(1));
        debug!(&ctx, "kernel program: cgroup {} is made, its slot is {}", id, slot_of_id(id));
    }
    0
}

fn made(cgroup: Cgroup, id: u64, path: u64) -> Option<()> {
    // SAFETY: a number of our own, written under the kernel's cgroup_mutex.
    unsafe {
        if FIRST_MADE == 0 {
            core::ptr::write_volatile(&raw mut FIRST_MADE, id);
        }
    }
    match slot_above(cgroup) {
        NOBODY => {}
        // What a container makes that nobody asked for takes no room.
        slot if slot as u32 == IGNORED => return None,
        slot => {
            let slot = slot as u32;
            // Where it can't join, the parent was forgotten in this instant.
            if is_owned(slot) && join(cgroup, id, slot) {
                return None;
            }
        }
    }
    let note = NOTE.get_ptr_mut(OF_MKDIR)?;
    // SAFETY: the map's own memory, of this program alone.
    unsafe {
        write_note(note, id, path);
        if kernel::waits() && AWAITED_PATHS.get_ptr(&(*note).told.path).is_some() {
            place(cgroup, id, flag::NAMED_CGROUP, OF_MKDIR);
        } else if kernel::tracks_new() {
            let _ = MADE.insert(id, &*note, 0);
        }
    }
    None
}

/// The current task as the one that makes a cgroup. `path` is a string in the kernel's memory, or 0.
#[inline(always)]
unsafe fn write_note(note: *mut Made, id: u64, path: u64) {
    let maker = KernelTask::current();
    // SAFETY: the caller's pointer is to a map's value; the helper checks the path's address.
    unsafe {
        (*note).cgroup = id;
        (*note).root = maker.root();
        (*note).filters = u64::from(maker.filters());
        ((*note).told.level, (*note).told._pad) = (0, 0);
        kernel::clear(&raw mut (*note).told.path);
        if path != 0 {
            let _ = bpf_probe_read_kernel_str_bytes(path as *const u8, &mut (*note).told.path);
        }
    }
}

/// Is a cgroup that is made below a slot's own part of it? Of a container, yes. Of a slot of which user space has not said
/// what it is, where it is made from inside, as by systemd in a container, or where an application runs that came with a filter;
/// else it may be a container of its own, in a folder that is in use.
fn is_owned(slot: u32) -> bool {
    slots::has_flag(slot, OWNERS)
        || slots::has_application(slot)
        || traced(KernelTask::current().cgroup()) == Some(slot)
}

/// The slot in which a new cgroup lies, or [`IGNORED`], or [`NOBODY`]. Its parent may lie deeper than [`nearest_tracked_ancestor`] looks.
fn slot_above(cgroup: Cgroup) -> u64 {
    match slot_of_id(cgroup.ancestor(cgroup.level().wrapping_sub(1))) {
        NOBODY => nearest_tracked_ancestor(cgroup.0),
        slot => slot,
    }
}

/// Makes a new cgroup part of the slot in which it lies. False where the slot has it no longer: user space takes cgroups
/// out without the kernel's cgroup_mutex.
fn join(cgroup: Cgroup, id: u64, slot: u32) -> bool {
    if slots::is_full(slot) {
        slots::mark_overflow(slot);
        if nearest_tracked_ancestor(cgroup.0) != u64::from(slot) {
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

/// The slot of a cgroup into which a task has come: its first one takes it; or [`IGNORED`], or [`NOBODY`]. `path` is a string in the
/// kernel's memory, or 0 where the task was born there.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn slot_on_arrival(cgroup: u64, path: u64) -> u64 {
    let cgroup = Cgroup(cgroup);
    let id = cgroup.id();
    match slot_of_id(id) {
        NOBODY => {}
        slot => {
            tell_if_doubtful(cgroup, id, slot as u32, path);
            return slot;
        }
    }
    // SAFETY: a number of our own.
    let first = unsafe { core::ptr::read_volatile(&raw const FIRST_MADE) };
    if !kernel::tracks_new() || first == 0 || id < first {
        return if slots::has_any_overflow() { nearest_tracked_ancestor(cgroup.0) } else { NOBODY };
    }
    match slot_above(cgroup) {
        NOBODY => {}
        slot if slot as u32 == IGNORED => return slot,
        slot => {
            let above = slot as u32;
            // It has no cell: there was none left, or it is the slot's only since user space has said what that is.
            let is_found = slots::has_overflow(above);
            let is_its = if slots::has_flag(above, OWNERS) {
                is_found || join(cgroup, id, above)
            } else {
                is_found && MADE.get_ptr(id).is_none()
            };
            if is_its {
                let _ = MADE.remove(id);
                tell_if_doubtful(cgroup, id, above, path);
                return slot;
            }
        }
    }
    if TAKING.insert(id, 0, u64::from(BPF_NOEXIST)).is_err() {
        return NOBODY;
    }
    let slot = match slot_of_id(id) {
        NOBODY => first_arrival(cgroup, id, path),
        // Somebody else was there a moment before.
        slot => slot,
    };
    let _ = TAKING.remove(id);
    slot
}

/// The facts are the maker's where they are still known, else those of who brings the task.
#[inline(always)]
fn first_arrival(cgroup: Cgroup, id: u64, path: u64) -> u64 {
    let Some(which) = note(id, path) else { return NOBODY };
    let slot = place(cgroup, id, 0, which);
    if slot != NOBODY {
        let _ = MADE.remove(id);
    }
    slot
}

/// Writes down who made a cgroup, where that is still known, else who brings a task.
#[inline(always)]
fn note(id: u64, path: u64) -> Option<u32> {
    let which = if path == 0 { OF_BIRTH } else { OF_MOVE };
    let note = NOTE.get_ptr_mut(which)?;
    // SAFETY: the maps' own memory. A note may become another cgroup's while it is read: then its id has changed behind.
    unsafe {
        if let Some(made) = MADE.get_ptr(id) {
            let whole = core::slice::from_raw_parts_mut(note.cast::<u8>(), size_of::<Made>());
            if bpf_probe_read_kernel_buf(made.cast::<u8>(), whole).is_ok()
                && core::ptr::read_volatile(&raw const (*made).cgroup) == id
            {
                return Some(which);
            }
        }
        write_note(note, id, path);
    }
    Some(which)
}

/// Gives a cgroup a slot, by a note. [`NOBODY`] where none is free.
fn place(cgroup: Cgroup, id: u64, flags: u32, which: u32) -> u64 {
    place_of(cgroup.0, id, u64::from(flags), u64::from(which))
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn place_of(cgroup: u64, id: u64, flags: u64, which: u64) -> u64 {
    let Some(note) = NOTE.get_ptr(which as u32) else { return NOBODY };
    // SAFETY: the map's own memory.
    let (maker, path) = unsafe {
        let Made { root, filters, .. } = *note;
        (slots::Maker { root, filters: filters as u32 }, &raw const (*note).told.path)
    };
    let level = Cgroup(cgroup).level();
    if let Some(slot) = slots::take(id, flags as u32, 0, maker, level, path.cast()) {
        if insert(id, slot) {
            events::publish_slot(event::SLOT_TAKEN, slot);
            return u64::from(slot);
        }
        slots::drop_cell(slot);
    }
    refuse(id, 0, which as u32);
    NOBODY
}

/// A task has come into a cgroup that counts for a slot of which user space has not said yet whether it is a container's. If it
/// is none, this one may be: then its calls are lost, and it is to be named.
#[inline(always)]
fn tell_if_doubtful(cgroup: Cgroup, id: u64, slot: u32, path: u64) {
    if slot == IGNORED || !kernel::tracks_new() || slots::has_flag(slot, OWNERS) {
        return;
    }
    let level = slots::level(slot);
    if cgroup.level() > level
        && let Some(which) = note(id, path)
    {
        refuse(id, level, which);
    }
}

/// `level`: see [`Refused::level`].
fn refuse(id: u64, level: u32, which: u32) {
    refuse_of(id, u64::from(level), u64::from(which));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn refuse_of(id: u64, level: u64, which: u64) -> u64 {
    let Some(note) = NOTE.get_ptr_mut(which as u32) else { return 0 };
    // SAFETY: the map's own memory, of one program alone.
    unsafe {
        (*note).told.level = level as u32;
        match REFUSED.insert(id, &(*note).told, u64::from(BPF_NOEXIST)) {
            Ok(()) => events::count_refused(),
            Err(EEXIST) => {}
            Err(_) => events::count_refused_lost(),
        }
    }
    0
}

/// It is known already (include/uapi/asm-generic/errno-base.h).
pub const EEXIST: i32 = -17;

/// `(struct cgroup *cgrp, const char *path)`, likewise.
#[raw_tracepoint(tracepoint = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: RawTracePointContext) -> i32 {
    let cgroup = Cgroup(ctx.arg(0));
    if cgroup.is_default() {
        let id = cgroup.id();
        let _ = MADE.remove(id);
        if let Some(slot) = cgroups::remove(id)
            && slot != IGNORED
        {
            slots::drop_cell(slot);
        }
    }
    0
}
