//! What a filter denied. Seccomp comes before `sys_enter`, so a call that it answers itself exits without having entered:
//! its number is in no set that counts. What else exits so is no denial. Left out here are a child's return from
//! clone, a call that a thread was in when it came or when we began to look, an exec (it may return under another number),
//! and the call that loads the filter. Of the rest (what a tracer emulates, what a program's own filter answers) user space
//! judges, by the filters' programs.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    helpers::{bpf_get_current_pid_tgid, generated::bpf_ktime_get_boot_ns},
    macros::map,
    maps::{HashMap, PerCpuArray},
};
use seccomp_trace_common::{
    ABI_NATIVE, ABIS, DENIALS_PER_SLOT, Denial, Denied, MAX_DENIALS, MAX_TASKS, NUMBERS, answer, event, flag,
    inside::{ANY, KILLED, NONE},
};

use crate::{
    arch, atomic, events, filters, first_calls, identity,
    kernel::{self, Current, KernelTask},
    slots,
    tasks::{self, Arrival},
};

/// `ERESTARTSYS`, `ERESTARTNOINTR`, `ERESTARTNOHAND` and `ERESTART_RESTARTBLOCK` (include/linux/errno.h): no filter's answer, and
/// never seen by the program.
const RESTARTS: [i64; 4] = [-512, -513, -514, -516];

/// The number −1: what a tracer sets to skip a call, and as which a signal handler returns. The kernel has no such call, and no
/// rule can name it.
pub const NO_CALL: u32 = u32::MAX;

#[map]
static DENIALS: HashMap<Denial, Denied> = HashMap::with_max_entries(MAX_DENIALS, BPF_F_NO_PREALLOC);

/// Room for one: a program has little stack.
#[map]
static FIRST: PerCpuArray<Denied> = PerCpuArray::with_max_entries(1, 0);

/// The call in which a thread is, where the sets alone don't tell: one that counts in no set, as the thread came from
/// outside; one that it was in when it came, or when we did; and one of those that are paired
/// ([`seccomp_trace_common::MATCH_ENTER_EXIT`]). User space writes those that were there.
#[map]
static CURRENT_CALL: HashMap<u32, u32> = HashMap::with_max_entries(MAX_TASKS, BPF_F_NO_PREALLOC);

/// A thread is in this call, or [`ANY`].
pub fn set_current_call(tid: u32, number: u32, slot: u32) {
    if CURRENT_CALL.insert(tid, number, 0).is_err() {
        lose(slot);
    }
}

/// A thread is gone, or begins anew.
pub fn forget(tid: u32) {
    let _ = CURRENT_CALL.remove(tid);
}

/// A call has ended, and it is not one that the application's set knows.
pub fn on_unmatched_exit(slot: u32, abi: usize, number: u32, result: i64) {
    unmatched_exit(u64::from(slot), abi as u64, u64::from(number), result);
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn unmatched_exit(slot: u64, abi: u64, number: u64, result: i64) -> u64 {
    let (slot, abi, number) = (slot as u32, abi as usize, number as u32);
    if abi >= ABIS {
        return 0;
    }
    // What a tracer has skipped to which a filter handed it; without one, a signal handler's return.
    if number == NO_CALL {
        if KernelTask::current().lets_tracer_skip() {
            skipped(slot);
        }
        return 0;
    }
    // It may be one that was made and could not be kept.
    if number as usize >= NUMBERS && slots::has_lost_calls(slot) {
        return 0;
    }
    // A signal has taken it from its supervisor, who is asked again, or a handler is told EINTR.
    if RESTARTS.contains(&result) {
        return 0;
    }
    if result == 0 && (arch::EXECS[abi].contains(&number) || arch::CLONES[abi].contains(&number)) {
        return 0;
    }
    let is_paired = first_calls::is_paired(slot, abi, number);
    if !is_paired && first_calls::was_allowed(slot, abi, number) {
        return 0;
    }
    // SAFETY: a helper that takes nothing.
    if take_current_call(u64::from(slot), bpf_get_current_pid_tgid(), u64::from(number)) != 0 {
        return 0;
    }
    if slots::has_flag(slot, flag::SYSCALL_STATE_UNKNOWN) {
        return 0;
    }
    // A thread that is killed beside others has no exit of its call, but an end.
    if KernelTask::current().is_killed() {
        denied(slot, abi, number, answer::KILL, 0);
        set_current_call(bpf_get_current_pid_tgid() as u32, KILLED, slot);
        return 0;
    }
    let (answer, errno) = match result {
        // What comes back then differs: the number on x86, the first argument on aarch64 (syscall_rollback).
        _ if KernelTask::current().is_trapped() => (answer::TRAP, 0),
        -4095..=-1 => (answer::ERRNO, result.unsigned_abs() as u16),
        _ => (answer::VALUE, 0),
    };
    denied(slot, abi, number, answer, errno);
    0
}

/// Was the thread in this call already before its entries were looked at, or did it enter without a filter?
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn take_current_call(slot: u64, tid: u64, number: u64) -> u64 {
    let (slot, tid, number) = (slot as u32, tid as u32, number as u32);
    let arrival = tasks::arrival(slot);
    // SAFETY: only the thread itself, and who moves it, write its entry.
    let state = unsafe { CURRENT_CALL.get(tid).copied() };
    let was = match state {
        Some(inside) => inside == number || inside == ANY,
        // It was moved with others of its process, in whatever call it was.
        None => arrival == Arrival::MovedWithGroup,
    };
    if was {
        match arrival {
            Arrival::Native => forget(tid),
            _ => set_current_call(tid, NONE, slot),
        }
    }
    u64::from(was)
}

/// A thread ends.
pub fn ended(task: KernelTask, tid: u32) -> Option<()> {
    // SAFETY: as in `take_current_call`.
    let inside = unsafe { CURRENT_CALL.get(tid) };
    let is_told = inside.is_some_and(|inside| *inside == KILLED);
    if inside.is_some() {
        forget(tid);
    }
    if task.is_killed() && !is_told {
        let slot = identity::owner(task)?;
        let (abi, number) = Current::task().call();
        denied(slot, abi, number, answer::KILL, 0);
    }
    Some(())
}

/// A call of the number −1 in a slot's cgroup: the current thread's tracer has made it to none.
#[inline(never)]
pub fn made_to_none(slot: u32) {
    if kernel::finds_denials()
        && let Some(slot) = identity::owner_in(KernelTask::current(), Some(slot))
    {
        skipped(slot);
    }
}

/// The current thread's tracer has made a call to none: its number is gone.
fn skipped(slot: u32) {
    if KernelTask::current().is_traced() {
        denied(slot, ABI_NATIVE, NO_CALL, answer::SKIPPED, 0);
    }
}

/// Keeps a denial, where the container's filter was asked or a program's own.
fn denied(slot: u32, abi: usize, number: u32, answer: u16, errno: u16) {
    denied_of(u64::from(slot), abi as u64, u64::from(number), u64::from(answer) << 16 | u64::from(errno));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn denied_of(slot: u64, abi: u64, number: u64, how: u64) -> u64 {
    const SKIPPED: u64 = (answer::SKIPPED as u64) << 16;
    let number = number << 32 | abi;
    match tasks::own_filters_if_asked(slot as u32) {
        Some(_) if how == SKIPPED => keep(slot, number, SKIPPED, 0, 0),
        Some(own) => keep(slot, number, how, u64::from(own), u64::from(filter_of(slot as u32, own))),
        // Nobody is asked: whoever else ends a call without entering it.
        None if KernelTask::current().is_traced() => keep(slot, number, SKIPPED, 0, 0),
        None => 0,
    }
}

/// One more denial of a kind. `number` is after its ABI's, in the upper half, and `how` an answer before its error's number. Global, so
/// that it is verified once, and not for each way of being asked.
#[allow(clippy::needless_borrows_for_generic_args, reason = "the value itself would not fit the stack")]
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn keep(slot: u64, number: u64, how: u64, own: u64, filter: u64) -> u64 {
    let (slot, abi, number) = (slot as u32, number as u16, (number >> 32) as u32);
    let (answer, errno, task) = ((how >> 16) as u16, how as u16, KernelTask::current());
    // Its tracer may leave it meanwhile.
    let is_traced = answer == answer::SKIPPED || task.is_traced();
    let (own, filter, traced) = (own as u16, filter as u32, u32::from(is_traced));
    let key = Denial { slot, number, abi, answer, errno, own, filter, traced };
    if count(&key) {
        return 0;
    }
    let Some(kept) = slots::slot(slot) else { return 0 };
    let Some(first) = FIRST.get_ptr_mut(0) else { return 0 };
    // SAFETY: the maps' own memory, of this processor alone; helpers that take nothing.
    unsafe {
        *first = Denied {
            count: 1,
            time: bpf_ktime_get_boot_ns(),
            comm: kernel::comm(),
            tracer: if is_traced { task.tracer_comm() } else { [0; 16] },
            arguments: Current::task().arguments(abi as usize),
        };
        let has_room = (*kept).denials < DENIALS_PER_SLOT;
        if has_room && DENIALS.insert(key, &*first, u64::from(BPF_NOEXIST)).is_ok() {
            atomic::add(&raw mut (*kept).denials, 1);
            if !events::publish(event::DENIED, slot, answer, abi, number, 0) {
                events::count_dropped();
            }
        } else if !count(&key) {
            // Not even by another thread that came first.
            lose(slot);
        }
    }
    0
}

/// The number of the current thread's top filter. A thread that ends has none any more (since 6.11): where its program has loaded
/// none of its own, it had what the application has.
fn filter_of(slot: u32, own: u16) -> u32 {
    match filters::top(slot) {
        // SAFETY: the map's own memory.
        0 if own == 0 => slots::slot(slot).map_or(0, |slot| unsafe { (*slot).filter as u32 }),
        top => top,
    }
}

fn count(key: &Denial) -> bool {
    let Some(denied) = DENIALS.get_ptr_mut(key) else { return false };
    // SAFETY: a counter in the map's value.
    unsafe { atomic::add64(&raw mut (*denied).count, 1) };
    true
}

fn lose(slot: u32) {
    if let Some(slot) = slots::slot(slot) {
        // SAFETY: the map's own memory.
        unsafe { atomic::add(&raw mut (*slot).lost_denials, 1) };
        events::count_dropped();
    }
}
