//! Loops. The kernel verifies each program when it is loaded: such a loop until its state is known, and not for each time that it
//! repeats. A step is a function like any other: of those at most eight may be called one by another, the program itself included.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;

/// What a step says.
pub const NEXT: u64 = 0;
/// As [`NEXT`].
pub const LAST: u64 = 1;

/// Calls a step with the numbers of `0..times` until it says [`LAST`]. What it finds it leaves in the state, as numbers: of pointers
/// into maps the verifier would not know what they are after a step.
#[inline(always)]
pub fn bounded_loop<T>(times: u32, state: &mut T, step: extern "C" fn(u64, &mut T) -> u64) {
    // SAFETY: the helper hands on the state as it is given, and a step's number in a whole register.
    unsafe { bpf_loop(times, step as *mut c_void, (&raw mut *state).cast(), 0) };
}
