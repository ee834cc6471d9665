//! The slots: one a container. Taken here, marked dead here, freed by user space alone.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_probe_read_kernel_str_bytes, generated::bpf_ktime_get_boot_ns},
    macros::map,
    maps::{Array, Queue, RingBuf},
};
use seccomp_trace_common::{
    BEYOND_SHARE, CELLS_PER_SLOT, Event, FOLLOWED_PER_SLOT, MAX_BEYOND, Sets, Slot, Stats, TASKS_PER_SLOT,
    event, flag, state,
};

use crate::{counters, kernel::KernelTask, rolled::rolled};

/// Sized at load, as is [`SETS`].
#[map]
static SLOTS: Array<Slot> = Array::with_max_entries(1, 0);
#[map]
static SETS: Array<Sets> = Array::with_max_entries(1, 0);
/// Numbers of free slots; user space puts them in, sized at load.
#[map]
static FREE: Queue<u32> = Queue::with_max_entries(1, 0);
/// The news. Sized at load; full, it loses news and never a call.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);
#[map]
static STATS: Array<Stats> = Array::with_max_entries(1, 0);

/// Slots that have cgroups without a cell.
static mut CROWDED: u64 = 0;

/// The slot, from 1 on, that had a process last which there was no room to follow.
static mut CROWDED_OUT: u64 = 0;

/// Numbers that all slots keep beyond the sets.
static mut BEYOND: u64 = 0;

#[inline(always)]
pub fn sets(slot: u32) -> Option<*mut Sets> {
    SETS.get_ptr_mut(slot)
}

pub fn slot(slot: u32) -> Option<*mut Slot> {
    SLOTS.get_ptr_mut(slot)
}

/// Adds to a counter that only grows.
pub unsafe fn add(counter: *mut u32, value: u32) {
    // SAFETY: the caller's pointer is into a map's value.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::Relaxed }>(counter, value) };
}

/// As [`add`].
pub unsafe fn add64(counter: *mut u64, value: u64) {
    // SAFETY: the caller's pointer is into a map's value.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, value) };
}

/// Compare-exchange; false where somebody else was first.
pub unsafe fn exchange(at: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: the caller's pointer is into a map's value, aligned to 8 bytes.
    unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(at, old, new).1 }
}

/// How often a compare-exchange is tried: more than once only where several processors meet at it.
pub const TRIES: usize = 8;

/// Adds to a counter and returns what it was: by compare-exchange, since the target's base instruction set has
/// no fetch-and-add. Almost all callers hold the kernel's cgroup_mutex: a second try is rare.
pub unsafe fn bump(counter: *mut u64, value: i64) -> u64 {
    for _ in rolled(TRIES) {
        // SAFETY: the caller's pointer is into a map's value.
        unsafe {
            let old = *counter;
            let new = old.wrapping_add_signed(value);
            if exchange(counter, old, new) {
                return old;
            }
        }
    }
    u64::MAX
}

fn count(counter: fn(*mut Stats) -> *mut u64) {
    if let Some(stats) = STATS.get_ptr_mut(0) {
        // SAFETY: a counter in the map's value.
        unsafe { add64(counter(stats), 1) };
    }
}

/// A cgroup's calls went nowhere, or to another one's slot; user space is woken to read which.
pub fn count_refused() {
    // SAFETY: only an address is taken.
    count(|stats| unsafe { &raw mut (*stats).refused });
    tell(event::REFUSED, 0, 0, 0, 0, 0);
}

/// Likewise, and it is not known which.
pub fn count_refused_lost() {
    // SAFETY: only an address is taken.
    count(|stats| unsafe { &raw mut (*stats).refused_lost });
    tell(event::REFUSED, 0, 0, 0, 0, 0);
}

/// Something is in a slot of which no news tells.
pub fn count_untold() {
    // SAFETY: only an address is taken.
    count(|stats| unsafe { &raw mut (*stats).untold });
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
        Self { root: task.root().unwrap_or(0), filters: task.filters().unwrap_or(0) }
    }
}

/// A free slot for a cgroup. `path` is a string in the kernel's memory, or null.
#[inline(always)]
pub fn take(cgroup: u64, flags: u32, base: u32, maker: Maker, level: u32, path: *const u8) -> Option<u32> {
    let Ok(Some(number)) = FREE.pop() else { return None };
    let new = slot(number)?;
    let is_running = flags & flag::RUNNING != 0;
    // SAFETY: the map's own memory; user space has put the slot's number out once, so nobody else writes it.
    unsafe {
        (*new).cgroup = cgroup;
        (*new).root = maker.root;
        (*new).roots = [0; 2];
        (*new).top_filter = 0;
        (*new).namespace = 0;
        (*new).followed = 0;
        (*new).flags = flags | if flags & (flag::PINNED | flag::COMMAND) != 0 { flag::FOLLOWED } else { 0 };
        (*new).cells = 1;
        (*new).without_cell = 0;
        (*new).tasks = 0;
        (*new).arriving = 0;
        (*new).application = u64::from(is_running);
        // The maker's, until the application's own are known. Of what runs already nothing is known.
        (*new).arrived_with = if is_running { 0 } else { maker.filters };
        (*new).base = base;
        (*new).level = level;
        (*new).unexecuted = 0;
        (*new).filters = 0;
        (*new).filter = 0;
        (*new).could_tamper = 0;
        (*new).unfollowed = 0;
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

/// Nobody else changes a slot's flags while it lives.
pub fn set_flag(number: u32, flag: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe { (*slot).flags |= flag };
    }
}

/// As [`set_flag`].
pub fn clear_flag(number: u32, flag: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe { (*slot).flags &= !flag };
    }
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
pub fn is_crowded(number: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { (*slot).without_cell } != 0)
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
        count_untold();
    }
}

/// Could calls of a slot not be kept?
pub fn has_lost_calls(number: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { (*slot).lost } != 0)
}

/// One more of something that a slot may have `most` of; false where it has them, or has none left: it may be somebody
/// else's by now.
unsafe fn reserve(counter: *mut u64, least: u64, most: u64) -> bool {
    for _ in rolled(TRIES) {
        // SAFETY: the caller's pointer is into a map's value.
        unsafe {
            let old = *counter;
            if old < least || old >= most {
                return false;
            }
            if exchange(counter, old, old + 1) {
                return true;
            }
        }
    }
    false
}

/// One more cell for a slot. False where its last one is gone: it may be somebody else's by now.
pub fn add_cell(number: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { reserve(&raw mut (*slot).cells, 1, u64::MAX) })
}

/// Has a slot all the cells that it may have?
pub fn is_full(number: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { (*slot).cells } >= CELLS_PER_SLOT)
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
        if bump(&raw mut (*slot).cells, -1) == 1 {
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
        let is_left = |counter: *mut u64| !exchange(counter, 0, 0);
        let is_followed = (*slot).flags & flag::RELEASED == 0 && is_left(&raw mut (*slot).followed);
        let generation = (*slot).generation;
        let state = |state: u32| u64::from(generation) << 32 | u64::from(state);
        if is_left(&raw mut (*slot).cells)
            || is_followed
            || !exchange(slot.cast(), state(state::LIVE), state(state::DEAD))
        {
            return;
        }
        if (*slot).without_cell != 0 {
            bump(&raw mut CROWDED, -1);
        }
        tell_slot(event::DEAD, number);
    }
}

/// One that user space wants no more, and that has no cell, is dead.
pub fn end_released(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe { end(slot, number) };
    }
}

/// Is there room for one more followed process?
pub fn may_follow(number: u32) -> bool {
    // SAFETY: the map's own memory.
    slot(number).is_some_and(|slot| unsafe { (*slot).followed } < FOLLOWED_PER_SLOT)
}

/// One more that is a slot's own wherever it goes.
pub fn add_followed(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe { add64(&raw mut (*slot).followed, 1) };
    }
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
            if exchange(&raw mut (*slot).cells, 0, 0) {
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
            if exchange(&raw mut (*slot).followed, 1, 0) {
                end(slot, number);
            }
        }
    }
}

/// A process could not be followed: its calls are missing once it leaves its cgroup.
pub fn count_unfollowed(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe {
            add(&raw mut (*slot).unfollowed, 1);
            CROWDED_OUT = u64::from(number) + 1;
        }
    }
}

/// Somebody leaves a cgroup of whom nothing is known: where a slot has processes that there was no room to follow, it may be one.
pub fn lose_unfollowed() {
    // SAFETY: a static of our own.
    let number = unsafe { core::ptr::read_volatile(&raw const CROWDED_OUT) };
    // SAFETY: the map's own memory.
    if number != 0 && slot(number as u32 - 1).is_some_and(|slot| unsafe { (*slot).unfollowed } != 0) {
        lose_call(number as u32 - 1);
    }
}

/// One of a slot's own has left its cgroups, or was born elsewhere.
pub fn count_left(number: u32) {
    if let Some(slot) = slot(number).filter(|_| !has_flag(number, flag::RELEASED)) {
        // SAFETY: the map's own memory.
        unsafe { add64(&raw mut (*slot).left, 1) };
        tell_slot(event::LEFT, number);
    }
}

/// A stranger has come into a slot's cgroup.
pub fn count_foreign(number: u32) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe { add(&raw mut (*slot).foreign, 1) };
        tell_slot(event::FOREIGN, number);
    }
}

/// A cgroup of a slot has no cell: from now on those that have none are looked for by their ancestors.
pub fn crowd(number: u32) {
    crowd_of(u64::from(number));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn crowd_of(number: u64) -> u64 {
    let Some(slot) = slot(number as u32) else { return 0 };
    // SAFETY: the map's own memory, and our own.
    unsafe {
        if bump(&raw mut (*slot).without_cell, 1) == 0 {
            bump(&raw mut CROWDED, 1);
        }
    }
    0
}

/// Has any slot cgroups without a cell?
#[inline(always)]
pub fn is_any_crowded() -> bool {
    // SAFETY: a counter of our own.
    unsafe { core::ptr::read_volatile(&raw const CROWDED) != 0 }
}

/// Numbers more in the table of those beyond the sets, or fewer.
pub fn count_beyond(by: i64) {
    // SAFETY: a counter of our own.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut BEYOND, by as u64) };
}

/// May a slot that keeps so many numbers beyond the sets keep another one? However many slots take all that they can,
/// something is left for the next one.
pub fn has_room_beyond(own: u32) -> bool {
    // SAFETY: a counter of our own.
    let all = unsafe { core::ptr::read_volatile(&raw const BEYOND) };
    u64::from(own) < u64::from(MAX_BEYOND).saturating_sub(all) / BEYOND_SHARE
}

/// One more task has an origin in a slot. False where it has as many as it may.
pub fn add_task(number: u32, arrives: bool) -> bool {
    let Some(slot) = slot(number) else { return false };
    // SAFETY: the map's own memory.
    unsafe {
        let has_room = reserve(&raw mut (*slot).tasks, 0, TASKS_PER_SLOT);
        if has_room && arrives {
            bump(&raw mut (*slot).arriving, 1);
        }
        has_room
    }
}

/// One less.
pub fn drop_task(number: u32, arrives: bool) {
    if let Some(slot) = slot(number) {
        // SAFETY: the map's own memory.
        unsafe {
            bump(&raw mut (*slot).tasks, -1);
            if arrives {
                bump(&raw mut (*slot).arriving, -1);
            }
        }
    }
}

/// How often a slot has been somebody's.
pub fn generation(number: u32) -> Option<u32> {
    // SAFETY: the map's own memory.
    slot(number).map(|slot| unsafe { (*slot).generation })
}

/// News of a slot. What does not fit is counted: user space then looks at every slot.
pub fn tell_slot(kind: u32, number: u32) {
    if !tell(kind, number, 0, 0, 0, 0) {
        // SAFETY: only an address is taken.
        count(|stats| unsafe { &raw mut (*stats).news_lost });
    }
}

/// Puts news on the ring buffer; false where it is full.
pub fn tell(kind: u32, number: u32, set: u16, abi: u16, call: u32, detail: u32) -> bool {
    let what = u64::from(kind) << 32 | u64::from(set) << 16 | u64::from(abi);
    tell_of(u64::from(number), what, u64::from(call), u64::from(detail)) != 0
}

/// Global, so that it is verified once; a function of BPF takes five arguments at most.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tell_of(number: u64, what: u64, call: u64, detail: u64) -> u64 {
    // SAFETY: the map's own memory; helpers that take nothing.
    let event = unsafe {
        Event {
            kind: (what >> 32) as u32,
            slot: number as u32,
            generation: slot(number as u32).map_or(0, |slot| (*slot).generation),
            set: (what >> 16) as u16,
            abi: what as u16,
            number: call as u32,
            detail: detail as u32,
            time: bpf_ktime_get_boot_ns(),
            comm: bpf_get_current_comm().unwrap_or([0; 16]),
        }
    };
    u64::from(EVENTS.output::<Event>(event, 0).is_ok())
}
