//! What several processors change at once.

use core::{
    arch::asm,
    intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd},
};

/// Adds to a counter. No barrier.
pub unsafe fn add(counter: *mut u32, value: u32) {
    // SAFETY: the caller's pointer is into a map's value.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::Relaxed }>(counter, value) };
}

/// As [`add`].
pub unsafe fn add64(counter: *mut u64, value: u64) {
    // SAFETY: the caller's pointer is into a map's value.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, value) };
}

/// Compare-exchange; false where somebody else was first.
pub unsafe fn compare_exchange(at: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: the caller's pointer is into a map's value, aligned to 8 bytes.
    unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(at, old, new).1 }
}

/// Adds to a counter and returns what it was; a full barrier, as all here that return something. The compiler would refuse it: of
/// the target's base instruction set it knows no result. All kernels that the program loads on have it (5.12, on aarch64 5.18).
#[inline(always)]
pub unsafe fn fetch_add(counter: *mut u64, value: i64) -> u64 {
    let mut old = value as u64;
    // SAFETY: the caller's pointer is into a map's value, aligned to 8 bytes.
    unsafe {
        asm!("{old} = atomic_fetch_add((u64 *)({counter} + 0), {old})", counter = in(reg) counter, old = inout(reg) old);
    }
    old
}

/// Sets bits of a word; a full barrier.
#[inline(always)]
pub unsafe fn set_bits(word: *mut u64, bits: u64) {
    // SAFETY: as in `fetch_add`.
    unsafe {
        asm!("{bits} = atomic_fetch_or((u64 *)({word} + 0), {bits})", word = in(reg) word, bits = inout(reg) bits => _);
    }
}

/// Clears bits of a word; a full barrier.
#[inline(always)]
pub unsafe fn clear_bits(word: *mut u64, bits: u64) {
    // SAFETY: as in `fetch_add`.
    unsafe {
        asm!("{kept} = atomic_fetch_and((u64 *)({word} + 0), {kept})", word = in(reg) word, kept = inout(reg) !bits => _);
    }
}
