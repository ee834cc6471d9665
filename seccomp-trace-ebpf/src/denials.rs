//! What a filter denied. Seccomp comes before `sys_enter`, so a call that it answers itself exits without having entered:
//! its number is in no set that counts. What else exits so is no denial, and is left out here: a child's return from
//! clone, a call that a thread was in when it came or when we began to look, an exec (it may return under another number),
//! and the call that loads the filter.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated::bpf_ktime_get_boot_ns},
    macros::map,
    maps::HashMap,
};
use seccomp_trace_common::{
    ABIS, DENIALS_PER_SLOT, Denial, Denied, MAX_DENIALS, MAX_TASKS, OWN_FILTER, answer, event, flag,
    inside::{ANY, NONE},
};

use crate::{
    arch, cgroups,
    kernel::{Current, KernelTask},
    sightings, slots,
    tasks::{self, Came},
};

/// `ERESTARTSYS`, `ERESTARTNOINTR`, `ERESTARTNOHAND` and `ERESTART_RESTARTBLOCK` (include/linux/errno.h): no filter's answer, and
/// never seen by the program.
const RESTARTS: [i64; 4] = [-512, -513, -514, -516];

#[map]
static DENIALS: HashMap<Denial, Denied> = HashMap::with_max_entries(MAX_DENIALS, BPF_F_NO_PREALLOC);

/// The call in which a thread is, where the sets alone don't tell: one that counts in no set, as the thread came from
/// outside; one that it was in when it came, or when we did; and one of those that are paired
/// ([`seccomp_trace_common::PAIRED`]). User space writes those that were there.
#[map]
static INSIDE: HashMap<u32, u32> = HashMap::with_max_entries(MAX_TASKS, BPF_F_NO_PREALLOC);

/// A thread is in this call, or [`ANY`].
pub fn is_inside(tid: u32, number: u32, slot: u32) {
    if INSIDE.insert(tid, number, 0).is_err() {
        lose(slot);
    }
}

/// A thread is gone, or begins anew.
pub fn forget(tid: u32) {
    let _ = INSIDE.remove(tid);
}

/// A call has ended, and it is not one that the application's set knows.
pub fn left(slot: u32, abi: usize, number: u32, result: i64) {
    left_of(u64::from(slot), abi as u64, u64::from(number), result);
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn left_of(slot: u64, abi: u64, number: u64, result: i64) -> u64 {
    let (slot, abi, number) = (slot as u32, abi as usize, number as u32);
    // What a tracer injects, and a signal handler's return.
    if number as i32 == -1 || abi >= ABIS {
        return 0;
    }
    // A signal has taken it from its supervisor, who is asked again, or a handler is told EINTR.
    if RESTARTS.contains(&result) {
        return 0;
    }
    if result == 0 && (arch::EXECS[abi].contains(&number) || arch::CLONES[abi].contains(&number)) {
        return 0;
    }
    let is_paired = sightings::is_paired(slot, abi, number);
    if !is_paired && sightings::was_let_in(slot, abi, number) {
        return 0;
    }
    // SAFETY: a helper that takes nothing.
    if was_inside(u64::from(slot), bpf_get_current_pid_tgid(), u64::from(number)) != 0 {
        return 0;
    }
    let unknown = flag::UNSETTLED | flag::RUNNING;
    if slots::has_flags(slot, unknown) || (is_paired && slots::has_flag(slot, flag::UNSETTLED)) {
        return 0;
    }
    // Its end is told when it ends: a thread that is killed beside others has no exit of its call.
    if KernelTask::current().is_killed() {
        // On aarch64 its registers have forgotten the number by then (`forget_syscall`).
        is_inside(bpf_get_current_pid_tgid() as u32, number, slot);
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
extern "C" fn was_inside(slot: u64, tid: u64, number: u64) -> u64 {
    let (slot, tid, number) = (slot as u32, tid as u32, number as u32);
    let came = tasks::came(slot);
    // SAFETY: only the thread itself, and who moves it, write its entry.
    let state = unsafe { INSIDE.get(tid).copied() };
    let was = match state {
        Some(inside) => inside == number || inside == ANY,
        // It was moved with others of its process, in whatever call it was.
        None => came == Came::WithOthers,
    };
    if was {
        match came {
            Came::Never => forget(tid),
            _ => is_inside(tid, NONE, slot),
        }
    }
    u64::from(was)
}

/// A thread ends.
pub fn ended(task: KernelTask, tid: u32) -> Option<()> {
    // SAFETY: as in `was_inside`.
    let inside = unsafe { INSIDE.get(tid).copied() }.unwrap_or(NONE);
    forget(tid);
    if task.is_killed() {
        let slot = cgroups::traced(task.cgroup()?)?;
        let (abi, mut number) = Current::task().call();
        if number as i32 == -1 {
            number = inside;
        }
        denied(slot, abi, number, answer::KILL, 0);
    }
    Some(())
}

/// Keeps a denial, where the container's filter was asked or a program's own.
fn denied(slot: u32, abi: usize, number: u32, answer: u16, errno: u16) {
    denied_of(u64::from(slot), abi as u64, u64::from(number), u64::from(answer) << 16 | u64::from(errno));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn denied_of(slot: u64, abi: u64, number: u64, how: u64) -> u64 {
    let (slot, number, answer, errno) = (slot as u32, number as u32, (how >> 16) as u16, how as u16);
    let Some(own) = tasks::asked(slot) else { return 0 };
    let key = Denial { slot, number, abi: abi as u16, answer, errno, own: u16::from(own) };
    if count(&key) {
        return 0;
    }
    let Some(kept) = slots::slot(slot) else { return 0 };
    // SAFETY: the map's own memory; helpers that take nothing.
    unsafe {
        let first = Denied {
            count: 1,
            time: bpf_ktime_get_boot_ns(),
            comm: bpf_get_current_comm().unwrap_or([0; 16]),
        };
        let has_room = (*kept).denials < DENIALS_PER_SLOT;
        if has_room && DENIALS.insert(key, first, u64::from(BPF_NOEXIST)).is_ok() {
            slots::add(&raw mut (*kept).denials, 1);
            let detail = u32::from(errno) | if own { OWN_FILTER } else { 0 };
            if !slots::tell(event::DENIED, slot, answer, abi as u16, number, detail) {
                slots::count_untold();
            }
        } else if !count(&key) {
            // Not even by another thread that came first.
            lose(slot);
        }
    }
    0
}

fn count(key: &Denial) -> bool {
    let Some(denied) = DENIALS.get_ptr_mut(key) else { return false };
    // SAFETY: a counter in the map's value.
    unsafe { slots::add64(&raw mut (*denied).count, 1) };
    true
}

fn lose(slot: u32) {
    if let Some(slot) = slots::slot(slot) {
        // SAFETY: the map's own memory.
        unsafe { slots::add(&raw mut (*slot).lost_denials, 1) };
        slots::count_untold();
    }
}
