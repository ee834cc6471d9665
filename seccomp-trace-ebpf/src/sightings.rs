//! A call that was not told yet: who made it, and is it new in that one's set?

use aya_ebpf::{macros::map, maps::HashMap};
use seccomp_trace_common::{BEYOND_PER_SLOT, Beyond, MAX_BEYOND, NUMBERS, SEEN, TOLD, event};

use crate::{slots, tasks};

/// Numbers from 512 on. Not preallocated: almost no program has one.
#[map]
static BEYOND: HashMap<Beyond, u8> =
    HashMap::with_max_entries(MAX_BEYOND, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// A call that the application's set has not told yet. `seen` is [`SEEN`], with how it was made.
#[inline(never)]
pub fn first(slot: u32, abi: usize, number: u32, seen: u8) {
    let Some(set) = tasks::set_of_current(slot) else { return };
    if (number as usize) < NUMBERS
        && abi < seccomp_trace_common::ABIS
        && set < seccomp_trace_common::set::COUNT
    {
        let Some(sets) = slots::sets(slot) else { return };
        // SAFETY: the map's own memory, all three indexes in their bounds.
        unsafe { mark(&raw mut (*sets).calls[set][abi][number as usize], slot, set, abi, number, seen) };
    } else {
        beyond(slot, set, abi, number);
    }
}

/// Plain stores: a race between two threads can at worst tell a call twice.
unsafe fn mark(byte: *mut u8, slot: u32, set: usize, abi: usize, number: u32, seen: u8) {
    // SAFETY: the caller's pointer is into a map's value.
    unsafe {
        if *byte & TOLD != 0 {
            if *byte & seen != seen {
                *byte |= seen;
            }
            return;
        }
        *byte |= seen;
        if slots::tell(event::SIGHTING, slot, set as u16, abi as u16, number) {
            *byte |= TOLD;
        } else {
            slots::count_untold();
        }
    }
}

fn beyond(number_slot: u32, set: usize, abi: usize, number: u32) {
    let key = Beyond { slot: number_slot, set: set as u16, abi: abi as u16, number };
    if BEYOND.get_ptr_mut(key).is_none() {
        let Some(slot) = slots::slot(number_slot) else { return };
        // SAFETY: the map's own memory.
        unsafe {
            let own = (*slot).beyond;
            let has_room = own < BEYOND_PER_SLOT && slots::has_room_beyond(own);
            if has_room && BEYOND.insert(key, 0, u64::from(aya_ebpf::bindings::BPF_NOEXIST)).is_ok() {
                slots::add(&raw mut (*slot).beyond, 1);
                slots::count_beyond(1);
            } else if BEYOND.get_ptr_mut(key).is_none() {
                // Not even by another thread that came first with the same number.
                slots::lose_call(number_slot);
                return;
            }
        }
    }
    if let Some(byte) = BEYOND.get_ptr_mut(key) {
        // SAFETY: the map's own memory.
        unsafe { mark(byte, number_slot, set, abi, number, SEEN) };
    }
}
