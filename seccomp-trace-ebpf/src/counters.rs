//! How often each call is made, on each processor by itself. Only while somebody watches, and only for as many containers
//! as can be looked at.

use aya_ebpf::{
    macros::map,
    maps::{PerCpuArray, Queue},
};
use seccomp_trace_common::{ABIS, Counts, NUMBERS, Sets};

use crate::{first_calls, kernel, slots};

/// Sized at load: one where nobody watches.
#[map]
static COUNTS: PerCpuArray<Counts> = PerCpuArray::with_max_entries(1, 0);
/// Counters that are no slot's; user space puts them in, empty.
#[map]
static FREE_COUNTERS: Queue<u32> = Queue::with_max_entries(1, 0);

/// A new slot's calls are counted where a counter is left: from its first call on.
pub fn give(slot: u32) {
    if kernel::is_watched()
        && let Ok(Some(counter)) = FREE_COUNTERS.pop()
    {
        set(slot, u64::from(counter) + 1);
    }
}

/// As user space wants it.
pub fn set(slot: u32, counter: u64) {
    if let Some(sets) = slots::sets(slot) {
        // SAFETY: the map's own memory.
        unsafe { (*sets).counter = counter };
    }
}

/// Counts a call that the sets know.
#[inline(always)]
pub fn count(sets: *const Sets, abi: usize, number: u32) {
    // SAFETY: the caller's pointer is to the map's value.
    let counter = unsafe { (*sets).counter };
    if counter == 0 {
        return;
    }
    let Some(counts) = COUNTS.get_ptr_mut(counter as u32 - 1) else { return };
    // SAFETY: the map's own memory, of this processor alone.
    unsafe {
        if (number as usize) < NUMBERS && abi < ABIS {
            (*counts).calls[abi][first_calls::index(number)] += 1;
        } else {
            (*counts).beyond += 1;
        }
    }
}

/// Counts a call that they don't know yet, or never will.
#[inline(never)]
pub fn count_first(slot: u32, abi: usize, number: u32) {
    if let Some(sets) = slots::sets(slot) {
        count(sets, abi, number);
    }
}
