//! What several processors change at once. The target's base instruction set adds, and compares and exchanges; all else is made of
//! these.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

use crate::rolled::rolled;

/// Adds to a counter that only grows.
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
pub unsafe fn exchange(at: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: the caller's pointer is into a map's value, aligned to 8 bytes.
    unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(at, old, new).1 }
}

/// How often a compare-exchange is tried: more than once only where several processors meet at it.
pub const TRIES: usize = 8;

/// Adds to a counter and returns what it was: by compare-exchange, since the target's base instruction set has
/// no fetch-and-add. Almost all callers hold the kernel's cgroup_mutex: a second try is rare.
pub unsafe fn bump(counter: *mut u64, value: i64) -> u64 {
    for _ in rolled(TRIES) {
        // SAFETY: the caller's pointer is into a map's value.
        unsafe {
            let old = *counter;
            let new = old.wrapping_add_signed(value);
            if exchange(counter, old, new) {
                return old;
            }
        }
    }
    u64::MAX
}

/// One more of something that a slot may have `most` of; false where it has them, or has none left: it may be somebody
/// else's by now.
pub unsafe fn reserve(counter: *mut u64, least: u64, most: u64) -> bool {
    for _ in rolled(TRIES) {
        // SAFETY: the caller's pointer is into a map's value.
        unsafe {
            let old = *counter;
            if old < least || old >= most {
                return false;
            }
            if exchange(counter, old, old + 1) {
                return true;
            }
        }
    }
    false
}

/// Sets the bits of `set`, and clears those of `clear`, in the lower half of a word: the other half may be changed meanwhile.
pub unsafe fn change_bits(word: *mut u64, set: u32, clear: u32) {
    for _ in rolled(TRIES) {
        // SAFETY: the caller's pointer is into a map's value, aligned to 8 bytes.
        unsafe {
            let old = *word;
            if exchange(word, old, (old | u64::from(set)) & !u64::from(clear)) {
                return;
            }
        }
    }
}
