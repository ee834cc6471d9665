//! The kernel program: which calls of which containers are made, each told once.
//!
//! `sys_enter` is the hot path and stands here whole; everything rare is in the other files.
//! [`cgroups`] says which cgroup is whose, [`tasks`] who in it counts as whom, [`slots`] holds what was seen.

#![no_std]
#![no_main]
#![allow(internal_features, reason = "the BPF target declares no compare-exchange of its own")]
#![feature(core_intrinsics)]

mod cgroups;
mod control;
mod kernel;
mod sightings;
mod slots;
mod tasks;
mod vsyscall;

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use seccomp_trace_common::{ABI_COMPAT, ABI_NATIVE, ABI_X32, NUMBERS, SEEN, TOLD, X32_BIT, set};

/// Every call that no filter denied: ptrace and seccomp come before this tracepoint.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn sys_enter(ctx: RawTracePointContext) -> i32 {
    let Some(slot) = cgroups::traced_now() else { return 0 };
    // The second argument, not `orig_ax`, which can hold stray high bits.
    let number = ctx.arg::<u64>(1) as u32;
    let (abi, number) = if kernel::is_compat() {
        (ABI_COMPAT, number)
    } else if number & X32_BIT != 0 && number as i32 > 0 {
        (ABI_X32, number & !X32_BIT)
    } else {
        (ABI_NATIVE, number)
    };
    if (number as usize) < NUMBERS {
        let Some(sets) = slots::sets(slot) else { return 0 };
        // SAFETY: the verifier has seen the map's value whole, and both indexes are in their bounds.
        if unsafe { (*sets).calls[set::APPLICATION][abi][number as usize] } & TOLD != 0 {
            return 0;
        }
    }
    sightings::first(slot, abi, number, SEEN);
    0
}

/// aya reads the licence from here: the helpers that look into tasks are for GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
