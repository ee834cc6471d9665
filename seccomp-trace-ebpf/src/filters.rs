//! The filters of threads: each gets a number in its slot, and its program goes to user space once, which judges by it what a denial is
//! (`seccomp_trace::filter`). Only what is rare looks at them: calls that end without having been entered, and those that are new.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_F_NO_PREALLOC},
    helpers::generated::bpf_probe_read_kernel,
    macros::map,
    maps::{HashMap, RingBuf},
};
use seccomp_trace_common::{
    FILTERS_PER_SLOT, FilterHead, FilterKey, Known, LINKS, LONGEST_FILTER, MAX_FILTERS,
};

use crate::{
    atomic,
    bounded_loop::{LAST, NEXT, bounded_loop},
    kernel::{Filter, KernelTask},
    slots,
};

/// Those that have numbers.
#[map]
static FILTERS: HashMap<FilterKey, Known> = HashMap::with_max_entries(MAX_FILTERS, BPF_F_NO_PREALLOC);
/// Their programs, each after a [`FilterHead`]. Sized at load; one that it has no room for is tried again at its next call.
#[map]
static PROGRAMS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// A number that was not given before.
const NEW: u64 = 1 << 32;

/// The number of the current thread's top filter in a slot; 0 where it has none, or none is left.
pub fn top(slot: u32) -> u32 {
    top_of(u64::from(slot)) as u32
}

/// Takes the programs of a filter that has a new number and of those below it that have none yet.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn top_of(slot: u64) -> u64 {
    let Some(filter) = KernelTask::current().filter() else { return 0 };
    let top = number_of(slot, filter.0);
    if top & NEW == 0 {
        return top;
    }
    let mut chain = Chain { slot, filter: filter.0, number: top, known: 0, is_done: 0 };
    bounded_loop(LINKS, &mut chain, next_link);
    if chain.is_done == 0 {
        // A longer chain is not known to its end.
        forget(slot, chain.filter);
    }
    if chain.known != 0 { top & (NEW - 1) } else { 0 }
}

/// The filters of a thread, from the top on, whose programs are taken.
struct Chain {
    slot: u64,
    /// The one that is next.
    filter: u64,
    number: u64,
    /// Is at least the top one's taken?
    known: u64,
    is_done: u64,
}

extern "C" fn next_link(_: u64, chain: &mut Chain) -> u64 {
    let (slot, filter) = (chain.slot, chain.filter);
    chain.is_done = 1;
    let below = Filter(filter).below();
    let under = match below {
        0 => 0,
        below => match number_of(slot, below) {
            0 => u64::from(u32::MAX),
            under => under,
        },
    };
    if tell_program(slot, filter, chain.number, under) == 0 {
        forget(slot, filter);
        if under & NEW != 0 {
            forget(slot, below);
        }
        return LAST;
    }
    chain.known = 1;
    if under & NEW == 0 {
        return LAST;
    }
    (chain.filter, chain.number, chain.is_done) = (below, under, 0);
    NEXT
}

/// A filter's number in a slot, with [`NEW`] where it has just been given; 0 where none is left.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn number_of(slot: u64, filter: u64) -> u64 {
    let Some(key) = key(slot as u32, filter) else { return 0 };
    let fingerprint = fingerprint_of(filter);
    // SAFETY: entries are written whole, and read as they stand.
    if let Some(known) = unsafe { FILTERS.get(key).copied() }
        && known.fingerprint == fingerprint
    {
        return known.id;
    }
    let Some(kept) = slots::slot(slot as u32) else { return 0 };
    // SAFETY: the map's own memory.
    let given = unsafe {
        if (*kept).filters >= FILTERS_PER_SLOT {
            return 0;
        }
        atomic::fetch_add(&raw mut (*kept).filters, 1)
    };
    let id = given.wrapping_add(1);
    if given >= FILTERS_PER_SLOT
        || FILTERS.insert(key, Known { fingerprint, id }, u64::from(BPF_ANY)).is_err()
    {
        return 0;
    }
    id | NEW
}

/// Addresses are used again at once; where its program and its answers are those that they were, so is the filter.
#[inline(always)]
fn fingerprint_of(filter: u64) -> u64 {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let filter = Filter(filter);
    let (code, length) = filter.program();
    let mut print = code ^ filter.below().rotate_left(32) ^ u64::from(length);
    for word in filter.native_words() {
        print = print.wrapping_mul(SPREAD) ^ word;
    }
    print
}

fn key(slot: u32, address: u64) -> Option<FilterKey> {
    Some(FilterKey { slot, generation: slots::generation(slot)?, address })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn forget(slot: u64, filter: u64) -> u64 {
    if let Some(key) = key(slot as u32, filter) {
        let _ = FILTERS.remove(key);
    }
    0
}

/// A program of at most so many instructions, on the ring.
#[repr(C)]
struct Taken<const LENGTH: usize> {
    head: FilterHead,
    code: [u64; LENGTH],
}

/// Puts a filter's program on the ring; 0 where there is none, or no room.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tell_program(slot: u64, filter: u64, number: u64, under: u64) -> u64 {
    let (code, length) = Filter(filter).program();
    let Some(generation) = slots::generation(slot as u32) else { return 0 };
    let head = FilterHead {
        slot: slot as u32,
        generation,
        id: number as u32,
        below: under as u32,
        length: u32::from(length),
        _pad: 0,
    };
    // The ring's entries have fixed sizes: few are as large as they may be.
    let length = usize::from(length);
    u64::from(if length <= SMALL {
        put::<SMALL>(head, code)
    } else if length <= MIDDLE {
        put::<MIDDLE>(head, code)
    } else {
        put::<LONGEST_FILTER>(head, code)
    })
}

/// A program's own filter.
const SMALL: usize = 128;
/// An engine's.
const MIDDLE: usize = 1536;

#[inline(always)]
fn put<const LENGTH: usize>(head: FilterHead, code: u64) -> bool {
    let Some(mut entry) = PROGRAMS.reserve::<Taken<LENGTH>>(0) else { return false };
    let taken = entry.as_mut_ptr();
    let mut size = u64::from(head.length) * 8;
    // SAFETY: a register that keeps its value: the bound is on the very one that is passed.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) size) };
    if size == 0 || size > (LENGTH * 8) as u64 {
        entry.discard(0);
        return false;
    }
    // SAFETY: the ring's own memory, large enough for `size`; the helper checks the address that it reads.
    let failed = unsafe {
        (*taken).head = head;
        bpf_probe_read_kernel((&raw mut (*taken).code).cast(), size as u32, code as *const _)
    };
    if failed != 0 {
        entry.discard(0);
        return false;
    }
    entry.submit(0);
    true
}
