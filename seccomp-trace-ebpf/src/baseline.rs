//! The baseline of what tracing can cost: programs on the same tracepoints that do nothing. Only the benchmark loads it.

#![no_std]
#![no_main]

mod program;

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

/// Nothing.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn sys_enter(_: RawTracePointContext) -> i32 {
    0
}

/// Nothing.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn sys_exit(_: RawTracePointContext) -> i32 {
    0
}
