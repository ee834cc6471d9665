//! The slots: one a container. Taken here, marked dead here, freed by user space alone.

use core::{mem::offset_of, ptr::read_volatile};

use aya_ebpf::{
    helpers::bpf_probe_read_kernel_str_bytes,
    macros::map,
    maps::{Array, Queue},
};
use seccomp_trace_common::{
    CELLS_PER_SLOT, FOLLOWED_PER_SLOT, FOLLOWED_SHARE, HIGH_NUMBERS_SHARE, MAX_FOLLOWED, MAX_HIGH_NUMBERS,
    Sets, Slot, TASKS_PER_SLOT, event, flag, state,
};

use crate::{
    atomic::{add, add64, clear_bits, compare_exchange, fetch_add, set_bits},
    bounded_loop::{LAST, NEXT, bounded_loop},
    counters,
    events::{self, count_dropped, publish_slot},
    kernel::KernelTask,
};

/// Sized at load, as is [`SETS`].
#[map]
static SLOTS: Array<Slot> = Array::with_max_entries(1, 0);
#[map]
static SETS: Array<Sets> = Array::with_max_entries(1, 0);
/// Numbers of free slots; user space puts them in, sized at load.
#[map]
static FREE: Queue<u32> = Queue::with_max_entries(1, 0);

/// Slots that have cgroups without a cell.
static mut OVERFLOWING: u64 = 0;

/// Numbers that all slots keep beyond the sets.
static mut HIGH_NUMBERS: u64 = 0;

/// Processes of all slots that are followed.
static mut FOLLOWED: u64 = 0;

/// Processes of all slots that there was no room to follow.
static mut UNFOLLOWED: u64 = 0;

#[inline(always)]
pub fn sets(slot: u32) -> Option<*mut Sets> {
    SETS.get_ptr_mut(slot)
}

pub fn slot(slot: u32) -> Option<*mut Slot> {
    SLOTS.get_ptr_mut(slot)
}

/// Who made a cgroup.
#[derive(Clone, Copy)]
pub struct Maker {
    /// Its root directory's dentry; 0: not known.
    pub root: u64,
    /// Its filters.
    pub filters: u32,
}

impl Maker {
    pub fn current() -> Self {
        let task = KernelTask::current();
        Self { root: task.root(), filters: task.filters() }
    }
}

/// A free slot for a cgroup. `path` is a string in the kernel's memory, or null.
#[inline(always)]
pub fn take(
    cgroup: u64,
    flags: u32,
    filters_at_exec: u32,
    maker: Maker,
    level: u32,
    path: *const u8,
) -> Option<u32> {
    let Ok(Some(number)) = FREE.pop() else { return None };
    let new = slot(number)?;
    let is_running = flags & flag::ATTACHED_LATE != 0;
    // SAFETY: the map's own memory; user space has put the slot's number out once, so nobody else writes it.
    unsafe {
        (*new).cgroup = cgroup;
        (*new).root = maker.root;
        (*new).roots = [0; 2];
        (*new).top_filter = 0;
        (*new).namespace = 0;
        (*new).followed = 0;
        (*new).flags =
            flags | if flags & (flag::NAMED_CGROUP | flag::RUN_COMMAND) != 0 { flag::FOLLOWED } else { 0 };
        (*new).table_entries = 1;
        (*new).cgroups_without_entry = 0;
        (*new).tasks = 0;
        (*new).arriving = 0;
        (*new).application = u64::from(is_running);
        (*new).begun = u64::from(is_running);
        // The maker's, until the application's own are known. Of what runs already nothing is known.
        (*new).filters_at_entry = if is_running { 0 } else { maker.filters };
        (*new).maker_filters = u64::from(maker.filters);
        (*new).filters_at_exec = filters_at_exec;
        (*new).level = level;
        (*new).had_task_without_exec = 0;
        (*new).filters = 0;
        (*new).filter = 0;
        (*new).could_tamper = 0;
        (*new).unfollowed = 0;
        (*new).unknown_before = 0;
        (*new).rivals = 0;
        (*new).foreign = 0;
        (*new).left = 0;
        if !path.is_null() {
            let _ = bpf_probe_read_kernel_str_bytes(path, &mut (*new).path);
        }
        (*new).state = state::LIVE;
    }
    counters::give(number);
    Some(number)
}

pub fn has_flag(number: u32, flags: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { (*slot).flags } & flags != 0)
}

/// As user space says, or the kernel's events: both at once.
pub fn set_flag(number: u32, flag: u32) {
    if let Some(flags) = flags(number) {
        // SAFETY: the map's own memory.
        unsafe { set_bits(flags, u64::from(flag)) };
    }
}

/// As [`set_flag`].
pub fn clear_flag(number: u32, flag: u32) {
    if let Some(flags) = flags(number) {
        // SAFETY: as in `set_flag`.
        unsafe { clear_bits(flags, u64::from(flag)) };
    }
}

/// Its flags, in the lower half of a word.
fn flags(number: u32) -> Option<*mut u64> {
    const { assert!(offset_of!(Slot, flags).is_multiple_of(8)) };
    // SAFETY: only an address is taken.
    slot(number).map(|slot| unsafe { &raw mut (*slot).flags }.cast())
}

/// Has the application been executed?
pub fn has_application(number: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { (*slot).application } != 0)
}

/// How deep the cgroup lies that it was made for.
pub fn level(number: u32) -> u32 {
    // SAFETY: the map's own memory.
    slot(number).map_or(0, |slot| unsafe { (*slot).level })
}

/// Has it cgroups without a cell?
pub fn has_overflow(number: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { (*slot).cgroups_without_entry } != 0)
}

/// Something of a slot could not be kept: its recording is incomplete.
pub fn lose_call(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe {
            // A flood must not count it round to nothing.
            if (*slot).lost < u32::MAX / 2 {
                add(&raw mut (*slot).lost, 1);
            }
        }
        count_dropped();
    }
}

/// Could calls of a slot not be kept?
pub fn has_lost_calls(number: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { (*slot).lost } != 0)
}

/// One more cell for a slot. False where its last one is gone: it may be somebody else's by now.
pub fn add_cell(number: u32) -> bool {
    let mut addition = Addition { number: u64::from(number), is_done: 0 };
    bounded_loop(TRIES, &mut addition, next_try);
    addition.is_done != 0
}

/// How often a compare-exchange is tried: more than once only where several processors meet at it.
const TRIES: u32 = 8;

struct Addition {
    number: u64,
    is_done: u64,
}

extern "C" fn next_try(_: u64, addition: &mut Addition) -> u64 {
    let Some(slot) = slot(addition.number as u32) else { return LAST };
    // SAFETY: the map's own memory.
    let (old, cells) = unsafe { ((*slot).table_entries, &raw mut (*slot).table_entries) };
    if old == 0 {
        return LAST;
    }
    // SAFETY: as above.
    if !unsafe { compare_exchange(cells, old, old + 1) } {
        return NEXT;
    }
    addition.is_done = 1;
    LAST
}

/// Has a slot all the cells that it may have?
pub fn is_full(number: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { (*slot).table_entries } >= CELLS_PER_SLOT)
}

/// One less; with the last one the slot is dead. What has no cell lies below what has one, and is gone before it.
pub fn drop_cell(number: u32) {
    drop_cell_of(u64::from(number));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn drop_cell_of(number: u64) -> u64 {
    let number = number as u32;
    let Some(slot) = slot(number) else { return 0 };
    // SAFETY: the map's own memory.
    unsafe {
        if fetch_add(&raw mut (*slot).table_entries, -1) == 1 {
            end(slot, number);
        }
    }
    0
}

/// A slot is dead with its last cell and the last of those that are its own wherever they are. What changes nothing is a full
/// barrier: of two that take the last of each at the same time, one sees both gone.
unsafe fn end(slot: *mut Slot, number: u32) {
    // SAFETY: the map's own memory; a state and a generation stand together in eight bytes.
    unsafe {
        let is_left = |counter: *mut u64| !compare_exchange(counter, 0, 0);
        let is_followed = (*slot).flags & flag::RELEASED == 0 && is_left(&raw mut (*slot).followed);
        let generation = (*slot).generation;
        let state = |state: u32| u64::from(generation) << 32 | u64::from(state);
        if is_left(&raw mut (*slot).table_entries)
            || is_followed
            || !compare_exchange(slot.cast(), state(state::LIVE), state(state::DEAD))
        {
            return;
        }
        if (*slot).cgroups_without_entry != 0 {
            fetch_add(&raw mut OVERFLOWING, -1);
        }
        publish_slot(event::DEAD, number);
    }
}

/// One that user space wants no more, and that has no cell, is dead.
pub fn end_released(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe { end(slot, number) };
    }
}

/// Is there room for one more followed process? However many a slot has, others are left a share of what remains.
pub fn may_follow(number: u32) -> bool {
    // SAFETY: the map's own memory, and a counter of our own.
    let (Some(slot), all) = (slot(number), unsafe { read_volatile(&raw const FOLLOWED) }) else {
        return false;
    };
    // SAFETY: the map's own memory.
    let own = unsafe { (*slot).followed };
    own < FOLLOWED_PER_SLOT && own < u64::from(MAX_FOLLOWED).saturating_sub(all) / FOLLOWED_SHARE
}

/// One more that is a slot's own wherever it goes.
pub fn add_followed(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe { add64(&raw mut (*slot).followed, 1) };
    }
}

/// Processes more in the table of those that are followed, or fewer.
pub fn count_followed(by: i64) {
    // SAFETY: a counter of our own.
    unsafe { add64(&raw mut FOLLOWED, by as u64) };
}

/// One less.
pub fn drop_followed(number: u32) {
    drop_followed_of(u64::from(number));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn drop_followed_of(number: u64) -> u64 {
    if let Some(slot) = slot(number as u32) {
        // SAFETY: the map's own memory.
        unsafe {
            add64(&raw mut (*slot).followed, u64::MAX);
            // Also a barrier, as in `end`.
            if compare_exchange(&raw mut (*slot).table_entries, 0, 0) {
                end(slot, number as u32);
            }
        }
    }
    0
}

/// The first process of its namespace has ended: of its last threads each may say so.
pub fn drop_namespace(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe {
            if compare_exchange(&raw mut (*slot).followed, 1, 0) {
                end(slot, number);
            }
        }
    }
}

/// A process could not be followed: its calls are missing once it leaves its cgroup.
pub fn count_unfollowed(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory, and a counter of our own.
        unsafe {
            // The first one alone is kept.
            compare_exchange(&raw mut (*slot).unknown_before, 0, events::unknown_leavers() + 1);
            add(&raw mut (*slot).unfollowed, 1);
            add64(&raw mut UNFOLLOWED, 1);
        }
    }
}

/// Somebody of whom nothing is known leaves a cgroup, or is born elsewhere: it may be one that there was no room to follow.
pub fn count_unknown() {
    // SAFETY: a counter of our own.
    if unsafe { read_volatile(&raw const UNFOLLOWED) } != 0 {
        events::count_unknown_leaver();
    }
}

/// One of a slot's own has left its cgroups, or was born elsewhere.
pub fn count_left(number: u32) {
    if let Some(slot) = slot(number).filter(|_| !has_flag(number, flag::RELEASED)) {
        // SAFETY: the map's own memory.
        unsafe { add64(&raw mut (*slot).left, 1) };
        publish_slot(event::LEFT, number);
    }
}

/// Somebody looks like the application, and does not carry what that one does.
pub fn count_rival(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe { add64(&raw mut (*slot).rivals, 1) };
    }
}

/// A stranger has come into a slot's cgroup.
pub fn count_foreign(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe { add(&raw mut (*slot).foreign, 1) };
        publish_slot(event::FOREIGN, number);
    }
}

/// A cgroup of a slot has no cell: from now on those that have none are looked for by their ancestors.
pub fn mark_overflow(number: u32) {
    mark_overflow_of(u64::from(number));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn mark_overflow_of(number: u64) -> u64 {
    let Some(slot) = slot(number as u32) else { return 0 };
    // SAFETY: the map's own memory, and our own.
    unsafe {
        if fetch_add(&raw mut (*slot).cgroups_without_entry, 1) == 0 {
            fetch_add(&raw mut OVERFLOWING, 1);
        }
    }
    0
}

/// Has any slot cgroups without a cell?
#[inline(always)]
pub fn has_any_overflow() -> bool {
    // SAFETY: a counter of our own.
    unsafe { read_volatile(&raw const OVERFLOWING) != 0 }
}

/// Numbers more in the table of those beyond the sets, or fewer.
pub fn count_high_numbers(by: i64) {
    // SAFETY: a counter of our own.
    unsafe { add64(&raw mut HIGH_NUMBERS, by as u64) };
}

/// May a slot that keeps so many numbers beyond the sets keep another one? However many slots take all that they can,
/// something is left for the next one.
pub fn has_room_for_high_number(own: u32) -> bool {
    // SAFETY: a counter of our own.
    let all = unsafe { read_volatile(&raw const HIGH_NUMBERS) };
    u64::from(own) < u64::from(MAX_HIGH_NUMBERS).saturating_sub(all) / HIGH_NUMBERS_SHARE
}

/// One more task has an origin in a slot. False where it has as many as it may.
pub fn add_task(number: u32, arrives: bool) -> bool {
    let Some(slot) = slot(number) else { return false };
    // SAFETY: the map's own memory.
    unsafe {
        let has_room = fetch_add(&raw mut (*slot).tasks, 1) < TASKS_PER_SLOT;
        if !has_room {
            add64(&raw mut (*slot).tasks, u64::MAX);
        } else if arrives {
            add64(&raw mut (*slot).arriving, 1);
        }
        has_room
    }
}

/// One less.
pub fn drop_task(number: u32, arrives: bool) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe {
            add64(&raw mut (*slot).tasks, u64::MAX);
            if arrives {
                add64(&raw mut (*slot).arriving, u64::MAX);
            }
        }
    }
}

/// How often a slot has been somebody's.
pub fn generation(number: u32) -> Option<u32> {
    // SAFETY: the map's own memory.
    slot(number).map(|slot| unsafe { (*slot).generation })
}
