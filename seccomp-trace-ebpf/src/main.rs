//! The kernel program: which calls of which containers are made, each told once.
//!
//! `sys_enter` and `sys_exit` are the hot path: it begins here, with [`cgroups`], which says which cgroup is whose, and [`enter_cache`],
//! which ends most of it. What is rare is in the other files: [`first_calls`] are calls that are new, [`identity`] whose a task is wherever
//! it goes, [`tasks`] who in a slot counts as whom, [`moves`] how that changes, [`track`] which cgroups get a slot, [`slots`] holds what
//! was seen, [`events`] reports it, [`denials`] what never entered, [`filters`] by whose leave, [`counters`] how often, while somebody watches. [`vsyscall`] is
//! the calls that are none, [`arch`] what differs between machines, [`control`] what user space asks for.

#![no_std]
#![no_main]
#![allow(internal_features, reason = "the BPF target declares no compare-exchange of its own")]
#![feature(asm_experimental_arch, core_intrinsics)]

mod arch;
mod atomic;
mod bounded_loop;
mod cgroups;
mod control;
mod counters;
mod denials;
mod enter_cache;
mod events;
mod filters;
mod first_calls;
mod identity;
mod kernel;
mod moves;
mod program;
mod slots;
mod tasks;
mod track;
mod vsyscall;

use aya_ebpf::{
    EbpfContext as _,
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use kernel::{CssSet, Current};
use seccomp_trace_common::{MATCH_ENTER_EXIT, NUMBERS, REPORTED, SEEN, set};

/// Every call that no filter denied: ptrace and seccomp come before this tracepoint.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn sys_enter(ctx: RawTracePointContext) -> i32 {
    // The second argument, not `orig_ax`, which can hold stray high bits.
    entered(ctx.arg::<u64>(1) as u32)
}

/// Every call's end, also of those that a filter denied: they never entered.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn sys_exit(ctx: RawTracePointContext) -> i32 {
    ended(ctx.arg::<u64>(1) as i64)
}

/// The same for kernels that preempt the programs of raw tracepoints, and skip them for others meanwhile (7.2): they don't
/// preempt this kind. What it is given: /sys/kernel/tracing/events/raw_syscalls/sys_enter/format.
#[tracepoint(category = "raw_syscalls", name = "sys_enter")]
pub fn classic_sys_enter(ctx: TracePointContext) -> u32 {
    // SAFETY: 8 bytes that all have, and the number; the verifier knows their bounds.
    entered(unsafe { *ctx.as_ptr().cast::<u64>().add(1) } as u32) as u32
}

/// As [`classic_sys_enter`]: the number comes first, then the result.
#[tracepoint(category = "raw_syscalls", name = "sys_exit")]
pub fn classic_sys_exit(ctx: TracePointContext) -> u32 {
    // SAFETY: as in `classic_sys_enter`.
    ended(unsafe { *ctx.as_ptr().cast::<i64>().add(2) }) as u32
}

#[inline(always)]
fn entered(number: u32) -> i32 {
    let current = Current::task();
    let css_set = current.css_set();
    let Some(slot) = cgroups::traced_now(current, css_set) else { return 0 };
    let (abi, number) = current.abi_of(number);
    if (number as usize) < NUMBERS {
        let Some(sets) = slots::sets(slot) else { return 0 };
        // SAFETY: the verifier has seen the map's value whole, and both indexes are in their bounds.
        if unsafe { (*sets).calls[set::APPLICATION][abi][first_calls::index(number)] }
            & (REPORTED | MATCH_ENTER_EXIT)
            == REPORTED
        {
            if kernel::finds_denials() {
                enter_cache::set(current, css_set);
            }
            if kernel::is_watched() {
                counters::count(sets, abi, number);
            }
            return 0;
        }
    }
    if number == denials::NO_CALL {
        denials::made_to_none(slot);
    } else {
        first_calls::on_first_call(slot, abi, number, SEEN);
    }
    0
}

#[inline(always)]
fn ended(result: i64) -> i32 {
    let current = Current::task();
    let css_set = current.css_set();
    if !enter_cache::ends(current, css_set) {
        ended_otherwise(current, css_set, result);
    }
    0
}

#[inline(never)]
fn ended_otherwise(current: Current, css_set: CssSet, result: i64) {
    let Some(slot) = cgroups::traced_now(current, css_set) else { return };
    let (abi, number) = current.call();
    if (number as usize) < NUMBERS {
        let Some(sets) = slots::sets(slot) else { return };
        // SAFETY: as in `entered`.
        if unsafe { (*sets).calls[set::APPLICATION][abi][first_calls::index(number)] }
            & (SEEN | MATCH_ENTER_EXIT)
            == SEEN
        {
            return;
        }
    }
    denials::on_unmatched_exit(slot, abi, number, result);
}
