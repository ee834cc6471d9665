//! Who comes into a slot, moves, is born, executes something and ends: what becomes of the entries of [`tasks`].

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use seccomp_trace_common::{
    Task, event, flag,
    inside::ANY,
    origin::{ARRIVING, F_GROUP, F_HOOK, F_LATE, FOREIGN, JOINED, OUTSIDE, UNFILTERED_EXEC},
};

use crate::{
    atomic::{compare_exchange, fetch_add},
    cgroups::{self, NOBODY},
    denials, events, identity,
    kernel::{self, Cgroup, Current, KernelTask},
    slots,
    tasks::{self, Kept, entry, entry_in, forget, has_strange_root, is_of, is_stranger, keep, root_of},
    track,
};

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
    let tid = task.tid();
    let was_known = cgroups::slot_by(cgroup) != NOBODY;
    let by_cgroup = cgroups::somebody(track::slot_on_arrival(cgroup.0, path));
    let owner = identity::owner_in(task, by_cgroup);
    let Some(number) = by_cgroup else {
        match owner {
            // Who is followed stays what it is.
            Some(owner) if !is_over(task, with_group) => slots::count_left(owner),
            Some(_) => {}
            None => {
                forget(tid);
                slots::count_unknown();
            }
        }
        return None;
    };
    if owner != by_cgroup {
        // Another container's, which stays so; its calls are told from this one's by asking.
        slots::count_foreign(number);
        let is_new_here = cgroups::guard(cgroup);
        if let Some(owner) = owner {
            slots::count_left(owner);
            // Who moves itself makes no other call meanwhile. Of others those are missing that the cgroup's own slot had told.
            let is_alone = task == KernelTask::current() && !(with_group && task.live() > 1);
            if is_new_here && was_known && !is_alone {
                slots::lose_call(owner);
            }
        }
        return None;
    }
    // systemd moves its children, which move themselves as well.
    if is_over(task, with_group) {
        return None;
    }
    if with_group {
        follow(task, number);
    }
    // Of who moves inside of its slot it is known in which call it is.
    if is_member(task, number)? {
        return None;
    }
    let flags = if with_group { F_GROUP } else { 0 };
    if kernel::finds_denials() {
        // Of who moves itself it is known; an exec ends it.
        let inside = if task == KernelTask::current() { Current::task().call().1 } else { ANY };
        denials::set_current_call(tid, inside, number);
    }
    arrive(task, tid, number, flags)
}

/// Of a task that ends the kernel tells moves that it does not make. A leader that has ended before its process says nothing about
/// that.
fn is_over(task: KernelTask, with_group: bool) -> bool {
    task.is_ending() && !(with_group && task.live() > 0)
}

/// Where nothing tells whose somebody is, all that comes is followed.
fn follow(task: KernelTask, number: u32) {
    if slots::has_flag(number, flag::NAMED_CGROUP | flag::RUN_COMMAND) {
        identity::follow(task, number);
    }
}

/// A task has come into a slot from outside.
fn arrive(task: KernelTask, tid: u32, number: u32, flags: u32) -> Option<()> {
    let slot = slots::slot(number)?;
    // SAFETY: the map's own memory.
    let late = unsafe { (*slot).application } != 0;
    let flags = flags | if late { F_LATE } else { 0 };
    let generation = slots::generation(number)?;
    let (filters_at_entry, root) = (task.filters(), task.root());
    let is_foreign = is_stranger(task, number, filters_at_entry, root);
    let origin = if is_foreign { FOREIGN } else { ARRIVING };
    keep(tid, Task { slot: number, generation, origin, filters_at_entry, flags, root, _pad: 0 });
    if is_foreign {
        slots::count_foreign(number);
    }
    Some(())
}

/// Was the task in the slot already, and has only changed its cgroup inside of it, or has come back? The kernel no longer
/// tells from where it came.
fn is_member(task: KernelTask, number: u32) -> Option<bool> {
    let current = KernelTask::current();
    let entry = entry(task.tid(), task.tgid()).filter(|entry| is_of(entry, number));
    if let Some(entry) = entry {
        return Some(entry.origin != OUTSIDE);
    }
    // SAFETY: the map's own memory.
    let slot = unsafe { &*slots::slot(number)? };
    if slot.application != 0
        && let Some(is_own) = identity::belongs_to(task, number)
    {
        return Some(is_own);
    }
    if current != task && cgroups::traced(current.cgroup()) == Some(number) {
        return Some(true);
    }
    // It has moved itself, or somebody outside has moved it: what it carries tells.
    // A named cgroup without an engine that ran before us: who is in it counts, wherever it came from.
    const LATE: u32 = flag::NAMED_CGROUP | flag::ATTACHED_LATE;
    Some(if slot.application == 0 {
        false
    } else if slot.filters_at_exec > slot.filters_at_entry {
        task.filters() >= slot.filters_at_exec
    } else if slot.flags & flag::RUN_COMMAND != 0 || slot.flags & LATE == LATE {
        true
    } else {
        slot.root != 0 && task.root() != slot.root
    })
}

/// `(struct task_struct *parent, struct task_struct *child)`, before the child's first step.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn sched_process_fork(ctx: RawTracePointContext) -> i32 {
    forked(KernelTask(ctx.arg(0)), KernelTask(ctx.arg(1)));
    0
}

fn forked(parent: KernelTask, child: KernelTask) {
    if child.tgid() == child.tid() {
        identity::inherit(parent, child);
    }
    let cgroup = child.cgroup();
    let is_elsewhere = parent.css_set() != child.css_set() && parent.cgroup() != cgroup;
    // As numbers: of no slot the compiler reads what it has not written, which verifiers refuse.
    let by_cgroup = if is_elsewhere { track::slot_on_arrival(cgroup.0, 0) } else { cgroups::slot_by(cgroup) };
    // Most are the host's. A parent's children may be in a namespace in which it is not (setns).
    let carries_nothing = identity::carries_nothing(parent) && identity::carries_nothing(child);
    if !is_elsewhere && is_nobodys(by_cgroup) && carries_nothing {
        return;
    }
    let owner = match tasks::slot_of_entry(u64::from(parent.tid()), u64::from(parent.tgid())) {
        // It is what its parent is, which came from outside, in its cgroup and where that one has gone.
        of_parent if of_parent == by_cgroup && !is_elsewhere => of_parent,
        of_parent if of_parent != NOBODY && is_nobodys(by_cgroup) && is_owner(parent, of_parent) => of_parent,
        _ => identity::owner_of(child.0, by_cgroup),
    };
    born(parent.0, child.0, by_cgroup, owner, u64::from(is_elsewhere));
}

/// A task is born in a cgroup of one slot, and is whose it is. Global, so that it is verified once, and not for each way to know that.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn born(parent: u64, child: u64, by_cgroup: u64, owner: u64, is_elsewhere: u64) -> u64 {
    let (parent, child, is_elsewhere) = (KernelTask(parent), KernelTask(child), is_elsewhere != 0);
    let (by_cgroup, owner) = (cgroups::somebody(by_cgroup), cgroups::somebody(owner));
    if owner != by_cgroup
        && is_elsewhere
        && let Some(number) = by_cgroup
    {
        slots::count_foreign(number);
        cgroups::guard(child.cgroup());
    }
    let of_parent = entry(parent.tid(), parent.tgid());
    if let Some(outside) = of_parent.filter(|entry| entry.origin == OUTSIDE && is_of(entry, entry.slot)) {
        if by_cgroup.is_none() {
            keep(child.tid(), outside);
        }
    } else if let Some(number) = owner
        && by_cgroup.is_none()
        && identity::owner(parent) != owner
    {
        // It was born into a container's namespace by somebody outside (setns), who may bring it into the cgroup, too.
        let Some(generation) = slots::generation(number) else { return 0 };
        let (filters_at_entry, root) = (child.filters(), child.root());
        let outside =
            Task { slot: number, generation, origin: OUTSIDE, filters_at_entry, flags: 0, root, _pad: 0 };
        keep(child.tid(), outside);
        return 0;
    }
    if is_elsewhere && by_cgroup.is_none() {
        match owner {
            Some(owner) => slots::count_left(owner),
            None => slots::count_unknown(),
        }
    }
    let Some(number) = owner else { return 0 };
    let is_inside = by_cgroup != owner
        || !is_elsewhere
        || cgroups::traced(parent.cgroup()) == by_cgroup
        || identity::owner(parent) == owner;
    if !is_inside {
        // Born in a cgroup that is not its parent's (CLONE_INTO_CGROUP): no move is told of it.
        follow(child, number);
        let _ = arrive(child, child.tid(), number, 0);
        return 0;
    }
    if child.tgid() == child.tid() && by_cgroup == owner {
        follow(child, number);
    }
    inherit(parent.0, child.0, u64::from(number));
    0
}

/// A task is born in its parent's slot, and counts as that one does.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn inherit(parent: u64, child: u64, number: u64) -> u64 {
    let (parent, child, number) = (KernelTask(parent), KernelTask(child), number as u32);
    let Some(task) = entry_in(number, parent) else { return 0 };
    let (tid, root) = (child.tid(), root_of(parent.tid(), parent.tgid()));
    // Who has all that an application has, and makes a process, is about to execute it. Where there is no engine a service does so.
    // Who joins a container changes its root too, and may make the process that executes something (crun, runc from 1.4 on).
    let has_changed_root = task.flags & F_LATE == 0
        && root != 0
        && parent.root() != root
        && !slots::has_flag(number, flag::NAMED_CGROUP | flag::RUN_COMMAND);
    let is_ready = parent.filters() > task.filters_at_entry || has_changed_root;
    let is_hook = task.origin != JOINED && child.tgid() == tid && is_ready;
    let flags = task.flags & (F_LATE | F_HOOK) | if is_hook { F_HOOK } else { 0 };
    keep(tid, Task { flags, root, ..task });
    0
}

fn is_nobodys(slot: u64) -> bool {
    cgroups::somebody(slot).is_none()
}

fn is_owner(task: KernelTask, slot: u64) -> bool {
    identity::owner_of(task.0, cgroups::slot_by(task.cgroup())) == slot
}

/// `(struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)`.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn sched_process_exec(ctx: RawTracePointContext) -> i32 {
    executed(KernelTask(ctx.arg(0)), ctx.arg::<u64>(1) as u32);
    0
}

fn executed(task: KernelTask, old_tid: u32) -> Option<()> {
    let tid = task.tid();
    // The other threads are gone, and an exec of one that did not lead the process has taken the leader's id.
    if old_tid != tid {
        tasks::rename(u64::from(old_tid), u64::from(tid));
    }
    let number = identity::owner(task)?;
    if kernel::finds_denials() {
        denials::forget(old_tid);
        denials::forget(tid);
    }
    let Some(mut entry) = entry_in(number, task) else {
        identity::executed(task, number);
        return None;
    };
    entry.root = root_of(tid, tid);
    forget(tid);
    let slot = slots::slot(entry.slot)?;
    let filters = task.filters();
    // SAFETY: the map's own memory.
    let (flags, root, known, has_application) =
        unsafe { ((*slot).flags, (*slot).root, (*slot).roots[1], (*slot).application != 0) };
    // In a cgroup without an engine a service may load a filter of its own; only a runtime changes the root as well.
    let has_filter = filters > entry.filters_at_entry && flags & flag::NAMED_CGROUP == 0;
    let now = task.root();
    // Whose root is another one's from the beginning has come from elsewhere.
    let has_changed_root =
        now != root && (entry.flags & F_LATE != 0 || (entry.root != 0 && now != entry.root));
    let is_application = has_filter || flags & flag::RUN_COMMAND != 0 || root == 0 || has_changed_root;
    let is_hook = entry.flags & F_HOOK != 0;
    entry.flags &= F_LATE | F_HOOK;
    // Whoever has the application's root after that one's exec, and came before it, was brought in (an early `docker exec`): no hook.
    let is_brought_in = has_application && now == known && entry.flags & F_LATE == 0;
    if entry.origin == FOREIGN {
        keep(tid, entry);
    } else if entry.origin == JOINED {
        identity::executed(task, number);
        keep(tid, entry);
    } else if !is_application || (is_hook && !is_brought_in) {
        // SAFETY: the map's own memory.
        unsafe {
            if (*slot).application == 0 && (*slot).filters_at_exec == 0 {
                (*slot).filters_at_exec = filters;
            }
        }
        follow(task, number);
        keep(tid, Task { origin: UNFILTERED_EXEC, ..entry });
    } else if entry.flags & F_LATE != 0 || is_hook {
        join(task, entry, now);
    } else {
        become_application(task, entry, filters, now);
    }
    Some(())
}

/// The first one to come fixes the boundary (a startContainer hook has the application's filters); those that arrived with it, and
/// carry what it carries, are the application too.
fn become_application(task: KernelTask, entry: Task, filters: u32, root: u64) -> Option<()> {
    let number = entry.slot;
    let slot = slots::slot(number)?;
    // SAFETY: the map's own memory.
    unsafe {
        let is_first = compare_exchange(&raw mut (*slot).begun, 0, 1);
        let has_begun = (*slot).application != 0;
        if is_first {
            (*slot).filters_at_entry = entry.filters_at_entry;
            (*slot).filters_at_exec = filters;
            (*slot).roots = [entry.root, root];
            identity::begin(task, number, filters > entry.filters_at_entry);
        } else if has_begun && !identity::is_with_application(task, number) {
            return join(task, entry, root);
        } else if !has_begun && !slots::has_flag(number, flag::NAMED_CGROUP | flag::RUN_COMMAND) {
            // Two begin in this instant, and what they carry may be different.
            slots::lose_call(number);
        }
        // Who sees that there is one sees all that.
        fetch_add(&raw mut (*slot).application, 1);
        if is_first {
            events::publish_slot(event::APPLICATION, number);
        }
    }
    identity::executed(task, number);
    Some(())
}

/// It has been brought in by a runtime (`docker exec`); unless it has another root than all that are known. Then it may be the
/// container's own first process, and a stranger has looked like that before; or it is such a stranger.
fn join(task: KernelTask, entry: Task, root: u64) -> Option<()> {
    let number = entry.slot;
    if has_strange_root(task, number, root) {
        slots::count_rival(number);
        // Below, there may be a container of its own.
        if task.cgroup().level() <= slots::level(number) {
            slots::lose_call(number);
        }
    }
    identity::executed(task, number);
    keep(task.tid(), Task { origin: JOINED, ..entry });
    Some(())
}

/// `(struct task_struct *task, …)`.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn sched_process_exit(ctx: RawTracePointContext) -> i32 {
    exited(KernelTask(ctx.arg(0)));
    0
}

fn exited(task: KernelTask) {
    let (tid, tgid) = (task.tid(), task.tgid());
    if kernel::finds_denials() {
        denials::ended(task, tid);
    }
    if has_executed_nothing(task, tid, tgid) == Some(true)
        && let Some(slot) = identity::owner(task).and_then(slots::slot)
    {
        // SAFETY: the map's own memory.
        unsafe { (*slot).had_task_without_exec = 1 };
    }
    // A leader's entry may be that of the other threads, which came with it.
    let is_last = task.live() == 0;
    if is_last || entry(tid, tid).is_none_or(|entry| entry.flags & F_GROUP == 0) {
        forget(tid);
    }
    if is_last {
        forget(tgid);
        identity::ended(task, tgid);
    }
}

/// Has it come from outside, and not executed anything since?
fn has_executed_nothing(task: KernelTask, tid: u32, tgid: u32) -> Option<bool> {
    match entry(tid, tid) {
        Some(entry) => Some(entry.origin == ARRIVING && is_of(&entry, entry.slot)),
        // Who ends before its move was told.
        None if tgid == tid => Some(Kept::of(identity::owner(task)?, task).is(ARRIVING)),
        None => None,
    }
}
