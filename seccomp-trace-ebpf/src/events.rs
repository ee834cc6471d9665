//! Events: what user space is told, and what it has to look for itself where there was no room.

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_boot_ns,
    macros::map,
    maps::{Array, RingBuf},
};
use seccomp_trace_common::{Event, Stats, event};

use crate::{atomic::add64, kernel, slots};

/// Events. Sized at load. A full ring buffer loses events, and never a call.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);
#[map]
static STATS: Array<Stats> = Array::with_max_entries(1, 0);

fn count(counter: fn(*mut Stats) -> *mut u64) {
    if let Some(stats) = STATS.get_ptr_mut(0) {
        // SAFETY: a counter in the map's value.
        unsafe { add64(counter(stats), 1) };
    }
}

/// A cgroup's calls went nowhere, or to another one's slot; user space is woken to read which.
pub fn count_refused() {
    // SAFETY: only an address is taken.
    count(|stats| unsafe { &raw mut (*stats).refused });
    publish(event::REFUSED, 0, 0, 0, 0, 0);
}

/// Likewise, and it is not known which.
pub fn count_refused_lost() {
    // SAFETY: only an address is taken.
    count(|stats| unsafe { &raw mut (*stats).refused_lost });
    publish(event::REFUSED, 0, 0, 0, 0, 0);
}

/// Something is in a slot of which no event tells.
pub fn count_dropped() {
    // SAFETY: only an address is taken.
    count(|stats| unsafe { &raw mut (*stats).dropped_events });
}

/// Somebody left who may have been one of those that could not be followed.
pub fn count_unknown_leaver() {
    // SAFETY: only an address is taken.
    count(|stats| unsafe { &raw mut (*stats).unknown_leavers });
}

/// How many did.
pub fn unknown_leavers() -> u64 {
    // SAFETY: the map's own memory.
    STATS.get_ptr(0).map_or(0, |stats| unsafe { (*stats).unknown_leavers })
}

/// News of a slot. What does not fit is counted: user space then looks at every slot.
pub fn publish_slot(kind: u32, number: u32) {
    if !publish(kind, number, 0, 0, 0, 0) {
        // SAFETY: only an address is taken.
        count(|stats| unsafe { &raw mut (*stats).lost_slot_events });
    }
}

/// Puts an event on the ring buffer; false where it is full.
pub fn publish(kind: u32, number: u32, set: u16, abi: u16, call: u32, detail: u32) -> bool {
    let what = u64::from(kind) << 32 | u64::from(set) << 16 | u64::from(abi);
    publish_event(u64::from(number), what, u64::from(call), u64::from(detail)) != 0
}

/// Global, so that it is verified once; a function of BPF takes five arguments at most.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn publish_event(number: u64, what: u64, call: u64, detail: u64) -> u64 {
    // SAFETY: the map's own memory; helpers that take nothing.
    let event = unsafe {
        Event {
            kind: (what >> 32) as u32,
            slot: number as u32,
            generation: slots::slot(number as u32).map_or(0, |slot| (*slot).generation),
            set: (what >> 16) as u16,
            abi: what as u16,
            number: call as u32,
            detail: detail as u32,
            time: bpf_ktime_get_boot_ns(),
            comm: kernel::comm(),
        }
    };
    u64::from(EVENTS.output::<Event>(event, 0).is_ok())
}
