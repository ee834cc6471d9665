//! The vsyscall page: three calls at fixed addresses, which the kernel emulates without a system call. A filter is asked
//! about each all the same, under its number (`emulate_vsyscall` in arch/x86/entry/vsyscall/vsyscall_64.c).

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use seccomp_trace_common::{ABI_NATIVE, SEEN, VSYSCALL};

use crate::{first_calls, identity, kernel::KernelTask};

/// `(int nr)`, before the filter is asked: 0, 1 or 2, or negative for an address that is none of them.
#[raw_tracepoint(tracepoint = "emulate_vsyscall")]
pub fn emulate_vsyscall(ctx: RawTracePointContext) -> i32 {
    let number = match ctx.arg::<u64>(0) as u32 {
        0 => 96,  // gettimeofday
        1 => 201, // time
        2 => 309, // getcpu
        _ => return 0,
    };
    if let Some(slot) = identity::owner(KernelTask::current()) {
        first_calls::on_first_call(slot, ABI_NATIVE, number, SEEN | VSYSCALL);
    }
    0
}
