//! Who a task counts as. Most tasks of a container are plain: they have no entry, and count as the application.
//! An entry is made where a task comes into a traced cgroup from outside, goes to its children, and goes away
//! when it has become the application.

use aya_ebpf::{
    macros::{map, raw_tracepoint},
    maps::HashMap,
    programs::RawTracePointContext,
};
use seccomp_trace_common::{
    MAX_TASKS, Slot, Task, event, flag,
    inside::ANY,
    origin::{ARRIVING, F_GROUP, F_HOOK, F_LATE, JOINED, TENTATIVE},
    set,
};

use crate::{
    cgroups, denials, enrol,
    kernel::{self, Cgroup, Current, KernelTask},
    slots,
};

/// By thread id. Not preallocated: there are few but where somebody forks without end.
#[map]
static TASKS: HashMap<u32, Task> =
    HashMap::with_max_entries(MAX_TASKS, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// A thread's entry: its own, or that of the process with which it was moved.
fn entry(tid: u32, tgid: u32) -> Option<Task> {
    // SAFETY: only the thread itself, its parent before its first step, and the mover write its entry.
    unsafe {
        TASKS.get(tid).copied().or_else(|| TASKS.get(tgid).copied().filter(|task| task.flags & F_GROUP != 0))
    }
}

/// What a task counts as in the slot in which it is; none for a plain one. An entry of another slot is stale.
fn entry_in(number: u32, task: KernelTask, tid: u32) -> Option<Task> {
    let packed = entry_of(u64::from(number), task.0, u64::from(tid));
    (packed != 0).then(|| Task {
        slot: number,
        generation: slots::generation(number).unwrap_or(0),
        origin: (packed >> 8) as u32 & 0xff,
        arrived_with: (packed >> 32) as u32,
        flags: (packed >> 16) as u32 & 0xff,
    })
}

/// As one number; 0 for a plain one. Global, so that it is verified once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn entry_of(number: u64, task: u64, tid: u64) -> u64 {
    let (number, task) = (number as u32, KernelTask(task));
    let Some(tgid) = task.tgid() else { return 0 };
    let found = entry(tid as u32, tgid).filter(|entry| is_of(entry, number));
    found.or_else(|| unannounced(task, number)).map_or(0, |entry| {
        1 | u64::from(entry.origin) << 8 | u64::from(entry.flags) << 16 | u64::from(entry.arrived_with) << 32
    })
}

/// A task that no move was told of yet: the kernel tells when it is done, and the task runs on meanwhile. In a
/// container without an application every task is the runtime's; in one that is confined all that is the
/// application's has its filter.
fn unannounced(task: KernelTask, number: u32) -> Option<Task> {
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slots::slot(number)? };
    // Where entries were lost, calls count rather too much than too little.
    if slot.flags & flag::RUNNING != 0 || slot.lost_origins != 0 {
        return None;
    }
    let flags = if slot.application == 0 {
        0
    } else if slot.base > slot.arrived_with && task.filters()? < slot.base {
        F_LATE
    } else {
        return None;
    };
    let Slot { generation, arrived_with, .. } = *slot;
    Some(Task { slot: number, generation, origin: ARRIVING, arrived_with, flags })
}

fn keep(tid: u32, task: Task) {
    let Task { slot, generation, origin, arrived_with, flags } = task;
    let pack = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    keep_of(u64::from(tid), pack(generation, slot), pack(flags, origin), u64::from(arrived_with));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn keep_of(tid: u64, of: u64, kind: u64, arrived_with: u64) -> u64 {
    let task = Task {
        slot: of as u32,
        generation: (of >> 32) as u32,
        origin: kind as u32,
        arrived_with: arrived_with as u32,
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
        unsafe { slots::add(&raw mut (*slot).lost_origins, 1) };
    }
    0
}

fn forget(tid: u32) {
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

/// Is an entry of this slot, and not of one that had its number before?
fn is_of(entry: &Task, number: u32) -> bool {
    entry.slot == number && slots::generation(number) == Some(entry.generation)
}

/// The set in which the current thread's calls go; none where they don't count.
pub fn set_of_current(number: u32) -> Option<usize> {
    let current = KernelTask::current();
    let Some(task) = entry_in(number, current, current.tid()?) else {
        return Some(set::APPLICATION);
    };
    match task.origin {
        JOINED => Some(set::JOINED),
        // A filter came since it arrived: that filter was asked.
        _ if current.filters()? > task.arrived_with => Some(set::RUNTIME),
        TENTATIVE => Some(set::TENTATIVE),
        // Into a cgroup without an engine a program may move itself, and work on without an exec: user space knows.
        _ => Some(set::ARRIVED),
    }
}

/// How a thread has come into its slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It is a plain one.
    Never,
    /// By itself: what it was in then is known.
    Alone,
    /// With its process, or just now.
    WithOthers,
}

/// How the current thread has come.
pub fn came(number: u32) -> Came {
    let current = KernelTask::current();
    let Some(tid) = current.tid() else { return Came::Never };
    // SAFETY: as in `entry`.
    if unsafe { TASKS.get(tid) }.is_some_and(|entry| is_of(entry, number)) {
        return Came::Alone;
    }
    match entry_in(number, current, tid) {
        Some(_) => Came::WithOthers,
        None => Came::Never,
    }
}

/// Is a filter asked about the current thread's calls that came with the container? With how many its program has
/// loaded of its own besides.
pub fn asked(number: u32) -> Option<u16> {
    let current = KernelTask::current();
    let filters = current.filters()?;
    // As one number, and not as an entry or none: of none the compiler reads what it has not written, which older verifiers
    // (6.1) refuse.
    let packed = entry_of(u64::from(number), current.0, u64::from(current.tid()?));
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slots::slot(number)? };
    let arrived_with = if packed == 0 { slot.arrived_with } else { (packed >> 32) as u32 };
    let is_tentative = packed != 0 && (packed >> 8) as u32 & 0xff == TENTATIVE;
    // A command has no runtime: what it is denied comes from a filter that we run under ourselves.
    let least = if slot.flags & flag::COMMAND != 0 { 0 } else { arrived_with };
    if filters <= least {
        return None;
    }
    let is_past_exec = slot.application != 0 || is_tentative;
    let own =
        filters.saturating_sub(arrived_with).saturating_sub(slot.base.saturating_sub(slot.arrived_with));
    Some(if is_past_exec { own as u16 } else { 0 })
}

/// `(struct cgroup *dst, const char *path, struct task_struct *task, bool threadgroup)`, after the move.
#[raw_tracepoint(tracepoint = "cgroup_attach_task")]
pub fn cgroup_attach_task(ctx: RawTracePointContext) -> i32 {
    let (cgroup, task) = (Cgroup(ctx.arg(0)), KernelTask(ctx.arg(2)));
    if cgroup.is_default() {
        moved(cgroup, task, ctx.arg::<u64>(3) as u8 != 0, ctx.arg(1));
    }
    0
}

fn moved(cgroup: Cgroup, task: KernelTask, with_group: bool, path: u64) -> Option<()> {
    let tid = task.tid()?;
    let Some(number) = enrol::slot_on_arrival(cgroup, path) else {
        forget(tid);
        return None;
    };
    // Of a task that ends the kernel tells moves that it does not make. systemd moves its children, which move themselves as well.
    if task.is_ending() {
        return None;
    }
    // Of who moves inside of its slot it is known in which call it is.
    if is_own(task, number)? {
        return None;
    }
    let flags = if with_group { F_GROUP } else { 0 };
    if kernel::finds_denials() {
        // Of who moves itself it is known; an exec ends it.
        let inside = if task == KernelTask::current() { Current::task().call().1 } else { ANY };
        denials::is_inside(tid, inside, number);
    }
    arrive(task, tid, number, flags)
}

/// A task has come into a slot from outside.
fn arrive(task: KernelTask, tid: u32, number: u32, flags: u32) -> Option<()> {
    let slot = slots::slot(number)?;
    // SAFETY: the map's own memory.
    let late = unsafe { (*slot).application } != 0;
    let flags = flags | if late { F_LATE } else { 0 };
    let generation = slots::generation(number)?;
    keep(tid, Task { slot: number, generation, origin: ARRIVING, arrived_with: task.filters()?, flags });
    Some(())
}

/// Was the task in the slot already, and has only changed its cgroup inside of it? The kernel no longer tells from
/// where it came.
fn is_own(task: KernelTask, number: u32) -> Option<bool> {
    let current = KernelTask::current();
    let has_entry = entry(task.tid()?, task.tgid()?).is_some_and(|entry| is_of(&entry, number));
    if has_entry || (current != task && cgroups::traced(current.cgroup()?) == Some(number)) {
        return Some(true);
    }
    // It has moved itself, or somebody outside has moved it: what it carries tells.
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slots::slot(number)? };
    // A named cgroup without an engine that ran before us: who is in it counts, wherever it came from.
    const LATE: u32 = flag::PINNED | flag::RUNNING;
    Some(if slot.application == 0 {
        false
    } else if slot.base > slot.arrived_with {
        task.filters()? >= slot.base
    } else if slot.flags & flag::COMMAND != 0 || slot.flags & LATE == LATE {
        true
    } else {
        slot.root != 0 && task.root()? != slot.root
    })
}

/// `(struct task_struct *parent, struct task_struct *child)`, before the child's first step.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn sched_process_fork(ctx: RawTracePointContext) -> i32 {
    forked(KernelTask(ctx.arg(0)), KernelTask(ctx.arg(1)));
    0
}

fn forked(parent: KernelTask, child: KernelTask) -> Option<()> {
    let cgroup = child.cgroup()?;
    let is_elsewhere = parent.css_set()? != child.css_set()? && parent.cgroup()? != cgroup;
    let number = if is_elsewhere { enrol::slot_on_arrival(cgroup, 0)? } else { cgroups::traced(cgroup)? };
    if is_elsewhere && cgroups::traced(parent.cgroup()?) != Some(number) {
        // Born in a cgroup that is not its parent's (CLONE_INTO_CGROUP): no move is told of it.
        return arrive(child, child.tid()?, number, 0);
    }
    let task = entry_in(number, parent, parent.tid()?)?;
    let tid = child.tid()?;
    let is_hook = task.origin != JOINED && child.tgid()? == tid && parent.filters()? > task.arrived_with;
    let flags = task.flags & (F_LATE | F_HOOK) | if is_hook { F_HOOK } else { 0 };
    keep(tid, Task { flags, ..task });
    Some(())
}

/// `(struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)`.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn sched_process_exec(ctx: RawTracePointContext) -> i32 {
    executed(KernelTask(ctx.arg(0)), ctx.arg::<u64>(1) as u32);
    0
}

fn executed(task: KernelTask, old_tid: u32) -> Option<()> {
    let tid = task.tid()?;
    let number = cgroups::traced(task.cgroup()?)?;
    if kernel::finds_denials() {
        denials::forget(old_tid);
        denials::forget(tid);
    }
    let mut entry = entry_in(number, task, old_tid)?;
    // The other threads are gone, and an exec of one that did not lead the process has taken the leader's id.
    forget(old_tid);
    forget(tid);
    let slot = slots::slot(entry.slot)?;
    let filters = task.filters()?;
    // SAFETY: the map's own memory.
    let (flags, root) = unsafe { ((*slot).flags, (*slot).root) };
    // In a cgroup without an engine a service may load a filter of its own; only a runtime changes the root as well.
    let has_filter = filters > entry.arrived_with && flags & flag::PINNED == 0;
    let is_application = has_filter || flags & flag::COMMAND != 0 || root == 0 || task.root()? != root;
    let is_hook = entry.flags & F_HOOK != 0;
    entry.flags &= F_LATE | F_HOOK;
    if entry.origin == JOINED {
        keep(tid, entry);
    } else if is_hook || !is_application {
        // SAFETY: the map's own memory.
        unsafe {
            if (*slot).application == 0 && (*slot).base == 0 {
                (*slot).base = filters;
            }
        }
        keep(tid, Task { origin: TENTATIVE, ..entry });
    } else if entry.flags & F_LATE != 0 {
        keep(tid, Task { origin: JOINED, ..entry });
    } else {
        // SAFETY: the map's own memory. The first one to come fixes the boundary (a startContainer hook has
        // the application's filters); those that arrived with it are the application too.
        unsafe {
            if slots::bump(&raw mut (*slot).application, 1) == 0 {
                (*slot).arrived_with = entry.arrived_with;
                (*slot).base = filters;
                slots::tell_slot(event::APPLICATION, entry.slot);
            }
        }
    }
    Some(())
}

/// `(struct task_struct *task, …)`.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn sched_process_exit(ctx: RawTracePointContext) -> i32 {
    exited(KernelTask(ctx.arg(0)));
    0
}

fn exited(task: KernelTask) -> Option<()> {
    let tid = task.tid()?;
    if kernel::finds_denials() {
        denials::ended(task, tid);
    }
    let own = entry(tid, tid);
    forget(tid);
    // Who ends before its move was told has come without an exec.
    let entry = match own {
        Some(own) => own,
        None if task.tgid()? == tid => unannounced(task, cgroups::traced(task.cgroup()?)?)?,
        None => return None,
    };
    if entry.origin == ARRIVING && is_of(&entry, entry.slot) {
        // SAFETY: the map's own memory.
        unsafe { (*slots::slot(entry.slot)?).unexecuted = 1 };
    }
    Some(())
}
