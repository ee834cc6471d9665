//! Who a task counts as. Most tasks of a container are plain: they have no entry, and count as the application.
//! An entry is made where a task comes into a traced cgroup from outside, goes to its children, and goes away
//! when it has become the application.

use aya_ebpf::{macros::map, maps::HashMap};
use seccomp_trace_common::{
    MAX_TASKS, Slot, Task, flag,
    origin::{ARRIVING, F_GROUP, F_LATE, FOREIGN, JOINED, OUTSIDE, UNFILTERED_EXEC},
    set,
};

use crate::{atomic, cgroups::NOBODY, identity, kernel::KernelTask, slots};

/// By thread id. Not preallocated: there are few but where somebody forks without end.
#[map]
static TASKS: HashMap<u32, Task> =
    HashMap::with_max_entries(MAX_TASKS, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// A thread's entry: its own, or that of the process with which it was moved.
pub fn entry(tid: u32, tgid: u32) -> Option<Task> {
    // SAFETY: only the thread itself, its parent before its first step, and the mover write its entry.
    unsafe {
        TASKS.get(tid).copied().or_else(|| TASKS.get(tgid).copied().filter(|task| task.flags & F_GROUP != 0))
    }
}

/// What a task counts as in the slot in which it is; none for a plain one. An entry of another slot is stale.
pub fn entry_in(number: u32, task: KernelTask) -> Option<Task> {
    let kept = Kept::of(number, task);
    (!kept.is_plain()).then(|| Task {
        slot: number,
        generation: slots::generation(number).unwrap_or(0),
        origin: kept.origin(),
        filters_at_entry: kept.filters_at_entry(),
        flags: (kept.0 >> 16) as u32 & 0xff,
        root: 0,
        _pad: 0,
    })
}

/// The same as one number. Of an entry that is none the compiler reads what it has not written, which older verifiers (6.1)
/// refuse.
#[derive(Clone, Copy)]
pub struct Kept(u64);

impl Kept {
    const PLAIN: Self = Self(0);

    pub fn of(number: u32, task: KernelTask) -> Self {
        Self(kept_of(u64::from(number), task.0))
    }

    fn new(origin: u32, flags: u32, filters_at_entry: u32) -> Self {
        Self(1 | u64::from(origin) << 8 | u64::from(flags) << 16 | u64::from(filters_at_entry) << 32)
    }

    fn is_plain(self) -> bool {
        self.0 == 0
    }

    fn origin(self) -> u32 {
        (self.0 >> 8) as u32 & 0xff
    }

    /// Has it come from outside, and counts so?
    pub fn is(self, origin: u32) -> bool {
        !self.is_plain() && self.origin() == origin
    }

    fn filters_at_entry(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A [`Kept`]. Global, so that it is verified once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn kept_of(number: u64, task: u64) -> u64 {
    let (number, task) = (number as u32, KernelTask(task));
    let kept = match entry(task.tid(), task.tgid()) {
        Some(entry) if is_of(&entry, number) => Kept::new(entry.origin, entry.flags, entry.filters_at_entry),
        _ => infer_origin(task, number),
    };
    kept.0
}

/// A task that no move was told of yet: the kernel tells when it is done, and the task runs on meanwhile. In a
/// container without an application every task is the runtime's; then what is not the application's by what it carries has
/// come from outside.
#[inline(always)]
fn infer_origin(task: KernelTask, number: u32) -> Kept {
    let Some(slot) = slots::slot(number) else { return Kept::PLAIN };
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slot };
    if slot.flags & flag::ATTACHED_LATE != 0 {
        return Kept::PLAIN;
    }
    let filters = task.filters();
    let has_begun = slot.application != 0;
    let is_own = has_begun
        && identity::belongs_to(task, number)
            .unwrap_or(slot.filters_at_exec <= slot.filters_at_entry || filters >= slot.filters_at_exec);
    // Where entries were lost, calls count rather too much than too little.
    let is_lost = slot.lost_origins != 0;
    if is_own || (is_lost && !has_begun) {
        return Kept::PLAIN;
    }
    let (late, root) = (if has_begun { F_LATE } else { 0 }, task.root());
    if is_lost {
        Kept::new(JOINED, F_LATE, slot.filters_at_entry)
    } else if root == 0 {
        // It ends.
        Kept::PLAIN
    } else if is_stranger(task, number, filters, root) {
        Kept::new(FOREIGN, late, filters)
    } else {
        // Whatever filters it has, it has come with: there was no time to load one.
        Kept::new(ARRIVING, late, filters)
    }
}

/// Has somebody come who is brought in by no runtime? Those have no more filters than who made the cgroup, and a root that is
/// known. One that has more is in the container already: in its namespace, or in its root.
#[inline(always)]
pub fn is_stranger(task: KernelTask, number: u32, filters: u32, root: u64) -> bool {
    let Some(slot) = slots::slot(number) else { return false };
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slot };
    let has_more_filters = filters > slot.filters_at_entry && u64::from(filters) > slot.maker_filters;
    let is_elsewhere = !knows_root(slot, root);
    let looks_strange = if slot.application == 0 {
        // A runtime that has one of the two is thinkable.
        has_more_filters && is_elsewhere
    } else {
        is_elsewhere || (has_more_filters && root != slot.roots[1])
    };
    looks_strange && is_of_engine(slot) && !identity::is_in_namespace(task, number)
}

/// Has somebody another root than who made the cgroup and than the application (`docker exec`), and is not in its namespace
/// either?
pub fn has_strange_root(task: KernelTask, number: u32, root: u64) -> bool {
    let Some(slot) = slots::slot(number) else { return false };
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slot };
    !knows_root(slot, root) && is_of_engine(slot) && !identity::is_in_namespace(task, number)
}

/// Is a root that of who made a slot's cgroup, or the application's, before or after its exec?
fn knows_root(slot: &Slot, root: u64) -> bool {
    slot.root == 0 || [slot.root, slot.roots[0], slot.roots[1]].contains(&root)
}

/// Is it said by an engine whose a slot's cgroup is? Without one whoever comes may be meant.
#[inline(always)]
fn is_of_engine(slot: &Slot) -> bool {
    slot.flags & (flag::NAMED_CGROUP | flag::RUN_COMMAND | flag::ATTACHED_LATE) == 0
}

pub fn keep(tid: u32, task: Task) {
    let Task { slot, generation, origin, filters_at_entry, flags, root, .. } = task;
    let pack = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    keep_of(u64::from(tid), pack(generation, slot), pack(flags, origin), u64::from(filters_at_entry), root);
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn keep_of(tid: u64, of: u64, kind: u64, filters_at_entry: u64, root: u64) -> u64 {
    let task = Task {
        root,
        _pad: 0,
        slot: of as u32,
        generation: (of >> 32) as u32,
        origin: kind as u32,
        filters_at_entry: filters_at_entry as u32,
        flags: (kind >> 32) as u32,
    };
    let tid = tid as u32;
    forget(tid);
    let arrives = task.origin == ARRIVING;
    if slots::add_task(task.slot, arrives) {
        if TASKS.insert(tid, task, 0).is_ok() {
            return 0;
        }
        slots::drop_task(task.slot, arrives);
    }
    if let Some(slot) = slots::slot(task.slot) {
        // SAFETY: the map's own memory.
        unsafe { atomic::add(&raw mut (*slot).lost_origins, 1) };
    }
    0
}

pub fn forget(tid: u32) {
    forget_of(u64::from(tid));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn forget_of(tid: u64) -> u64 {
    let tid = tid as u32;
    // SAFETY: as in `entry`.
    let Some(task) = (unsafe { TASKS.get(tid).copied() }) else { return 0 };
    // Who moves it may be faster.
    if TASKS.remove(tid).is_ok() && is_of(&task, task.slot) {
        slots::drop_task(task.slot, task.origin == ARRIVING);
    }
    0
}

/// The slot into which a thread came from outside, or who came with it; or [`NOBODY`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn slot_of_entry(tid: u64, tgid: u64) -> u64 {
    match entry(tid as u32, tgid as u32) {
        Some(entry) if entry.origin != OUTSIDE && is_of(&entry, entry.slot) => u64::from(entry.slot),
        _ => NOBODY,
    }
}

/// A thread has another id from now on.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn rename(old_tid: u64, tid: u64) -> u64 {
    // SAFETY: as in `entry`.
    if let Some(task) = unsafe { TASKS.get(old_tid as u32).copied() } {
        forget(old_tid as u32);
        keep(tid as u32, task);
    }
    0
}

/// Is an entry of this slot, and not of one that had its number before?
pub fn is_of(entry: &Task, number: u32) -> bool {
    entry.slot == number && slots::generation(number) == Some(entry.generation)
}

/// The set in which the current thread's calls go; none where they don't count.
pub fn set_of_current(number: u32) -> Option<usize> {
    let set = set_of(u64::from(number));
    (set < set::COUNT as u64).then_some(set as usize)
}

/// As one number; [`NOBODY`] where they don't count. Global, so that what follows is verified once, and not for each set.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn set_of(number: u64) -> u64 {
    let current = KernelTask::current();
    let kept = Kept::of(number as u32, current);
    if kept.is_plain() {
        return set::APPLICATION as u64;
    }
    let set = match kept.origin() {
        JOINED => set::JOINED,
        FOREIGN => return NOBODY,
        // A filter came since it arrived: that filter was asked.
        _ if current.filters() > kept.filters_at_entry() => set::RUNTIME,
        UNFILTERED_EXEC => set::UNFILTERED_EXEC,
        // Into a cgroup without an engine a program may move itself, and work on without an exec: user space knows.
        _ => set::PRE_EXEC,
    };
    set as u64
}

/// How a thread has come into its slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is a plain one.
    Native,
    /// By itself: what it was in then is known.
    MovedAlone,
    /// With its process, or just now.
    MovedWithGroup,
}

/// How the current thread has come.
pub fn arrival(number: u32) -> Arrival {
    let current = KernelTask::current();
    // SAFETY: as in `entry`.
    if unsafe { TASKS.get(current.tid()) }.is_some_and(|entry| is_of(entry, number)) {
        return Arrival::MovedAlone;
    }
    if Kept::of(number, current).is_plain() { Arrival::Native } else { Arrival::MovedWithGroup }
}

/// Is a filter asked about the current thread's calls that came with the container? With how many its program has
/// loaded of its own besides.
#[inline(always)]
pub fn own_filters_if_asked(number: u32) -> Option<u16> {
    let current = KernelTask::current();
    let filters = current.filters();
    let kept = Kept::of(number, current);
    if kept.is(FOREIGN) {
        return None;
    }
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slots::slot(number)? };
    let filters_at_entry = if kept.is_plain() { slot.filters_at_entry } else { kept.filters_at_entry() };
    // A command has no runtime: what it is denied comes from a filter that we run under ourselves.
    let least = if slot.flags & flag::RUN_COMMAND != 0 { 0 } else { filters_at_entry };
    if filters <= least {
        return None;
    }
    let is_past_exec = slot.application != 0 || kept.is(UNFILTERED_EXEC);
    let own = filters
        .saturating_sub(filters_at_entry)
        .saturating_sub(slot.filters_at_exec.saturating_sub(slot.filters_at_entry));
    Some(if is_past_exec { own as u16 } else { 0 })
}

/// Has it come into a slot from outside, which is kept of it?
pub fn has_come(number: u32, task: KernelTask) -> bool {
    entry(task.tid(), task.tgid()).is_some_and(|entry| is_of(&entry, number) && entry.origin != OUTSIDE)
}

/// Is a task that carries a slot's identity the slot's own also outside of its cgroup? In a container's namespace others can be:
/// a runtime that is about to join it, a debugger.
pub fn is_own_anywhere(number: u32, task: KernelTask) -> bool {
    is_own_anywhere_of(u64::from(number), task.0) != 0
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_own_anywhere_of(number: u64, task: u64) -> u64 {
    let (number, task) = (number as u32, KernelTask(task));
    let Some(slot) = slots::slot(number) else { return 0 };
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slot };
    if slot.flags & flag::FOLLOWED != 0 {
        return 1;
    }
    let is_own = match entry(task.tid(), task.tgid()).filter(|entry| is_of(entry, number)) {
        Some(entry) => entry.origin != OUTSIDE,
        None => slot.top_filter == 0 || identity::has_filter(task, slot),
    };
    u64::from(is_own)
}

/// The root with which a task, or who came with it, arrived; 0: not known.
pub fn root_of(tid: u32, tgid: u32) -> u64 {
    entry(tid, tgid).map_or(0, |entry| entry.root)
}
