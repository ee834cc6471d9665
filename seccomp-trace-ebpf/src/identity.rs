//! Whose a task is, wherever it goes. A thread keeps its filters and its PID namespace when it leaves its cgroup, so both are
//! asked, and not the folder alone: without an event, since between a move and the news of it a process goes on. Processes that
//! carry nothing of the kind are kept one by one, from their first ancestor on.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    macros::map,
    maps::{Array, HashMap},
};
use seccomp_trace_common::{MAX_FOLLOWED, Owner, PRESENCE, Slot, cell::IGNORED, flag};

use crate::{
    atomic,
    bounded_loop::{LAST, NEXT, bounded_loop},
    cgroups::{self, NOBODY},
    kernel::{Current, Filter, KernelTask},
    slots, tasks,
    track::EEXIST,
};

/// PID namespaces of containers, by their addresses. Sized at load.
#[map]
static NAMESPACES: HashMap<u64, Owner> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);
/// Processes of what has no such namespace, by their ids. Sized at load.
#[map]
static FOLLOWED: HashMap<u32, Owner> = HashMap::with_max_entries(MAX_FOLLOWED, BPF_F_NO_PREALLOC);
/// How many of those there are, by the lower bits of their ids: so that all others cost no look-up.
#[map]
static PRESENT: Array<[u32; PRESENCE]> = Array::with_max_entries(1, 0);

/// PID namespaces can be nested so deep (`MAX_PID_NS_LEVEL`, include/linux/pid_namespace.h).
const MAX_LEVEL: u32 = 32;

/// Is it surely nobody's by what it carries? So it is with almost all processes of the host.
#[inline(always)]
pub fn is_unmarked(current: Current) -> bool {
    current.pid_level() == 0 && !may_be_followed(current.tgid())
}

/// The same of any task.
#[inline(always)]
pub fn carries_nothing(task: KernelTask) -> bool {
    task.pid_level() == 0 && !may_be_followed(task.tgid())
}

#[inline(always)]
fn present(tgid: u32) -> Option<*mut u32> {
    let counters = PRESENT.get_ptr_mut(0)?;
    let mut index = u64::from(tgid);
    const { assert!(PRESENCE == 16_384) };
    // SAFETY: arithmetic in one register, whose bound older verifiers (6.1) see only so; the map's own memory.
    unsafe {
        core::arch::asm!("{index} &= 16383", index = inout(reg) index);
        Some(counters.cast::<u32>().add(index as usize))
    }
}

#[inline(always)]
fn may_be_followed(tgid: u32) -> bool {
    // SAFETY: the map's own memory.
    present(tgid).is_some_and(|counter| unsafe { *counter } != 0)
}

/// The slot whose a task is, that of its cgroup included.
pub fn owner(task: KernelTask) -> Option<u32> {
    owner_in(task, cgroups::traced(task.cgroup()))
}

/// Likewise of a task that is in a cgroup with this slot.
pub fn owner_in(task: KernelTask, by_cgroup: Option<u32>) -> Option<u32> {
    let owner = owner_of(task.0, by_cgroup.map_or(NOBODY, u64::from));
    (owner < u64::from(IGNORED)).then_some(owner as u32)
}

/// What it carries goes before the cgroup in which it is: the cgroup may be another container's. Global, so that it is verified
/// once.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn owner_of(task: u64, by_cgroup: u64) -> u64 {
    let is_somebodys = by_cgroup < u64::from(IGNORED);
    let by_cgroup = if is_somebodys { by_cgroup } else { NOBODY };
    let carried = carried_by(task);
    if carried == NOBODY || carried == by_cgroup {
        return by_cgroup;
    }
    // A recorded engine's processes are the container's once they are in its cgroup, as are those that its runtime has brought into
    // another one's namespace.
    if is_somebodys
        && (slots::has_flag(carried as u32, flag::NAMED_CGROUP)
            || tasks::has_come(by_cgroup as u32, KernelTask(task)))
    {
        return by_cgroup;
    }
    if tasks::is_own_anywhere(carried as u32, KernelTask(task)) { carried } else { by_cgroup }
}

/// The slot that is kept of the process, or that its namespaces tell: those of a container may be another one's. Of a recorded
/// engine's unit the processes are kept that it has made into containers.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn carried_by(task: u64) -> u64 {
    let kept = by_process(task);
    if kept != NOBODY && !slots::has_flag(kept as u32, flag::NAMED_CGROUP) {
        return kept;
    }
    let deepest = KernelTask(task).pid_level().min(MAX_LEVEL);
    let mut carried = Carried { task, deepest: u64::from(deepest), slot: kept };
    bounded_loop(deepest, &mut carried, next_level);
    carried.slot
}

/// What a task carries, from the deepest of its namespaces on.
struct Carried {
    task: u64,
    deepest: u64,
    slot: u64,
}

extern "C" fn next_level(above: u64, carried: &mut Carried) -> u64 {
    let slot = by_namespace(KernelTask(carried.task), (carried.deepest - above) as u32);
    if slot == NOBODY {
        return NEXT;
    }
    carried.slot = slot;
    LAST
}

#[inline(always)]
fn by_namespace(task: KernelTask, level: u32) -> u64 {
    let namespace = task.namespace(level);
    // SAFETY: copied at once.
    let Some(owner) = (unsafe { NAMESPACES.get(namespace).copied() }) else { return NOBODY };
    if KernelTask::first_of(namespace).start() == owner.start && is_wanted(&owner) {
        u64::from(owner.slot)
    } else {
        NOBODY
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn by_process(task: u64) -> u64 {
    let task = KernelTask(task);
    let tgid = task.tgid();
    if !may_be_followed(tgid) {
        return NOBODY;
    }
    // SAFETY: copied at once.
    let Some(owner) = (unsafe { FOLLOWED.get(tgid).copied() }) else { return NOBODY };
    let is_followed = is_wanted(&owner) && slots::has_flag(owner.slot, flag::FOLLOWED);
    if task.leader().start() == owner.start && is_followed { u64::from(owner.slot) } else { NOBODY }
}

fn is_current(owner: &Owner) -> bool {
    slots::generation(owner.slot) == Some(owner.generation)
}

fn is_wanted(owner: &Owner) -> bool {
    is_current(owner) && !slots::has_flag(owner.slot, flag::RELEASED)
}

/// Does what a task carries say that it belongs to a slot? None: nothing can say it.
#[inline(always)]
pub fn belongs_to(task: KernelTask, number: u32) -> Option<bool> {
    match belongs_to_slot(task.0, u64::from(number)) {
        OWN => Some(true),
        NOT_OWN => Some(false),
        _ => None,
    }
}

const UNKNOWN: u64 = 0;
const OWN: u64 = 1;
const NOT_OWN: u64 = 2;

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn belongs_to_slot(task: u64, number: u64) -> u64 {
    let (task, number) = (KernelTask(task), number as u32);
    let Some(slot) = slots::slot(number) else { return UNKNOWN };
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slot };
    let is_own = if slot.top_filter != 0 {
        has_filter(task, slot)
    } else if slot.namespace != 0 {
        carried_by(task.0) == u64::from(number)
    } else {
        let is_followed = by_process(task.0) == u64::from(number);
        // Each of its processes is followed, where there was room for them; where there is no engine, whoever comes may be meant.
        const OF_ENGINE: u32 = flag::FOLLOWED | flag::NAMED_CGROUP | flag::RUN_COMMAND;
        let are_all = slot.flags & OF_ENGINE == flag::FOLLOWED && slot.unfollowed == 0;
        if !is_followed && !are_all {
            return UNKNOWN;
        }
        is_followed
    };
    if is_own { OWN } else { NOT_OWN }
}

/// Is it in the PID namespace of a slot's container?
#[inline(always)]
pub fn is_in_namespace(task: KernelTask, number: u32) -> bool {
    // SAFETY: the map's own memory.
    let has_one = slots::slot(number).is_some_and(|slot| unsafe { (*slot).namespace } != 0);
    has_one && carried_by(task.0) == u64::from(number)
}

/// Are its calls asked of the filter of a slot's container?
#[inline(always)]
pub fn has_filter(task: KernelTask, slot: &Slot) -> bool {
    let (filter, filters_at_exec) = (slot.top_filter, u64::from(slot.filters_at_exec));
    let Some(top) = task.filter() else {
        // At a task's end they are gone, and only their number is left (`do_exit`, Linux 6.11).
        return u64::from(task.filters()) >= filters_at_exec;
    };
    // By the chain itself, and not by the task's number of them: another thread may be giving it a filter (TSYNC), and the number
    // comes later. By its place in the chain as well: another filter may be at its address by now.
    let mut walk = Walk { filter: top.0, links: 0, wanted: filter, at: u64::MAX };
    bounded_loop(CHAIN, &mut walk, next_link);
    walk.at != u64::MAX && walk.links - walk.at == filters_at_exec
}

/// Filters in one chain, at most: of 32,768 instructions at least nine each, five of which the kernel makes of one and four that it adds (`MAX_INSNS_PER_PATH`, kernel/seccomp.c).
const CHAIN: u32 = 3641;

/// A way down a chain of filters.
struct Walk {
    /// The one that comes next; 0: the chain is at its end.
    filter: u64,
    /// How many are behind.
    links: u64,
    wanted: u64,
    /// How many were above the wanted one.
    at: u64,
}

extern "C" fn next_link(_: u64, walk: &mut Walk) -> u64 {
    if walk.filter == walk.wanted {
        walk.at = walk.links;
    }
    walk.links += 1;
    walk.filter = Filter(walk.filter).below();
    if walk.filter == 0 { LAST } else { NEXT }
}

/// The application of a slot begins: from here on it is known what its tasks carry.
pub fn begin(task: KernelTask, number: u32, has_filter: bool) -> Option<()> {
    let slot = slots::slot(number)?;
    // SAFETY: the map's own memory; only the first application's thread comes here.
    unsafe { (*slot).top_filter = if has_filter { task.filter()?.0 } else { 0 } };
    if slots::has_flag(number, flag::NAMED_CGROUP | flag::RUN_COMMAND) {
        return Some(());
    }
    if let Some(namespace) = task.own_namespace()
        && begin_namespace(task.0, u64::from(number), namespace) != 0
    {
        return Some(());
    }
    slots::set_flag(number, flag::FOLLOWED);
    follow(task, number);
    Some(())
}

/// Does who executes something carry what a slot's application does? Its filter alone does not say so: the first one's may be gone,
/// and its address this one's.
pub fn is_with_application(task: KernelTask, number: u32) -> bool {
    // Where there is no engine, whoever comes may be meant; of what ran before us nothing is known.
    slots::has_flag(number, flag::NAMED_CGROUP | flag::RUN_COMMAND | flag::ATTACHED_LATE)
        || (carried_by(task.0) == u64::from(number) && belongs_to(task, number) != Some(false))
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn begin_namespace(task: u64, number: u64, namespace: u64) -> u64 {
    let (task, number) = (KernelTask(task), number as u32);
    let Some(owner) = new_owner(task, number) else { return 0 };
    let Some(slot) = slots::slot(number) else { return 0 };
    if NAMESPACES.insert(namespace, owner, 0).is_err() {
        return 0;
    }
    // SAFETY: the map's own memory.
    unsafe { (*slot).namespace = namespace };
    slots::add_followed(number);
    1
}

fn new_owner(task: KernelTask, slot: u32) -> Option<Owner> {
    Some(Owner { slot, generation: slots::generation(slot)?, start: task.leader().start() })
}

/// From now on this process is a slot's, wherever it goes.
pub fn follow(task: KernelTask, number: u32) {
    follow_as(task.0, u64::from(number));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn follow_as(task: u64, number: u64) -> u64 {
    if by_process(task) == number {
        return 0;
    }
    let (task, number) = (KernelTask(task), number as u32);
    let tgid = task.tgid();
    let Some(owner) = new_owner(task, number) else { return 0 };
    unfollow_as(u64::from(tgid));
    let inserted =
        if slots::may_follow(number) { FOLLOWED.insert(tgid, owner, u64::from(BPF_NOEXIST)) } else { Err(0) };
    if inserted == Err(EEXIST) {
        // Who moves it and the process itself are here at once: it is counted once.
        return 0;
    }
    if inserted.is_ok() {
        if let Some(counter) = present(tgid) {
            // SAFETY: the map's own memory.
            unsafe { atomic::add(counter, 1) };
        }
        slots::add_followed(number);
        slots::count_followed(1);
    } else {
        slots::count_unfollowed(number);
    }
    0
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn unfollow_as(tgid: u64) -> u64 {
    let tgid = tgid as u32;
    if !may_be_followed(tgid) {
        return 0;
    }
    // SAFETY: copied at once.
    let Some(owner) = (unsafe { FOLLOWED.get(tgid).copied() }) else { return 0 };
    if FOLLOWED.remove(tgid).is_ok() {
        if let Some(counter) = present(tgid) {
            // SAFETY: the map's own memory.
            unsafe { atomic::add(counter, u32::MAX) };
        }
        slots::count_followed(-1);
        if is_current(&owner) {
            slots::drop_followed(owner.slot);
        }
    }
    0
}

/// A process begins: it is whose its parent is.
pub fn inherit(parent: KernelTask, child: KernelTask) {
    inherit_from(parent.0, child.0);
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn inherit_from(parent: u64, child: u64) -> u64 {
    let slot = by_process(parent);
    if slot != NOBODY {
        follow_as(child, slot);
    }
    0
}

/// A process executes something in a slot.
pub fn executed(task: KernelTask, number: u32) {
    if slots::has_flag(number, flag::FOLLOWED) {
        follow(task, number);
    }
}

/// The last thread of a process ends. With the first process of a namespace all that is in it ends.
pub fn ended(task: KernelTask, tgid: u32) -> Option<()> {
    unfollow_as(u64::from(tgid));
    let namespace = task.own_namespace()?;
    let slot = by_namespace(task, task.pid_level());
    if slot != NOBODY {
        forget_namespace(slot as u32, namespace);
    }
    Some(())
}

/// The slot lives no longer for its namespace, whose entry stays: its last tasks are about to be killed.
fn forget_namespace(number: u32, namespace: u64) {
    // SAFETY: the map's own memory.
    if slots::slot(number).is_some_and(|slot| unsafe { (*slot).namespace } == namespace) {
        slots::drop_namespace(number);
    }
}

/// User space wants no more of a slot.
pub fn release(number: u32) {
    slots::set_flag(number, flag::RELEASED);
    let Some(slot) = slots::slot(number) else { return };
    // SAFETY: the map's own memory.
    let namespace = unsafe { (*slot).namespace };
    // SAFETY: copied at once.
    let owner = unsafe { NAMESPACES.get(namespace).copied() };
    if owner.is_some_and(|owner| owner.slot == number && is_current(&owner)) {
        let _ = NAMESPACES.remove(namespace);
    }
}
