//! A call that was not told yet: who made it, and is it new in that one's set?

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::HashMap};
use seccomp_trace_common::{
    ABIS, HIGH_NUMBERS_PER_SLOT, HighNumber, MATCH_ENTER_EXIT, MAX_HIGH_NUMBERS, NUMBERS, REPORTED, SEEN,
    Sets, event, flag, set,
};

use crate::{
    arch, atomic, counters, denials, events, filters, identity,
    kernel::{self, KernelTask},
    slots, tasks,
};

/// Numbers from 512 on. Not preallocated: almost no program has one.
#[map]
static HIGH_NUMBERS: HashMap<HighNumber, u8> =
    HashMap::with_max_entries(MAX_HIGH_NUMBERS, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// A number below [`NUMBERS`] as an index. The compiler knows that the mask changes nothing and would leave it out; the
/// verifier of older kernels (6.1) does not.
#[inline(always)]
pub fn index(number: u32) -> usize {
    const { assert!(NUMBERS == 512) };
    let mut index = u64::from(number);
    // SAFETY: arithmetic in one register, after which it is what is then assumed: no check is left that could panic.
    unsafe {
        core::arch::asm!("{index} &= 511", index = inout(reg) index);
        core::hint::assert_unchecked(index < NUMBERS as u64);
    }
    index as usize
}

/// A call's byte in a slot's sets. The bound is on the very register that is added, after the compiler has lost sight of it:
/// older verifiers (6.1) do not carry a bound from one register to its copy.
#[inline(always)]
fn place(sets: *mut Sets, set: usize, abi: usize, number: u32) -> Option<*mut u8> {
    let mut at = ((set * ABIS + abi) * NUMBERS + index(number)) as u64;
    // SAFETY: a register that keeps its value.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) at) };
    // SAFETY: the bytes of all sets stand at the beginning, one after another.
    (at < (set::COUNT * ABIS * NUMBERS) as u64).then(|| unsafe { sets.cast::<u8>().add(at as usize) })
}

/// A call that the application's set has not told yet. `seen` is [`SEEN`], with how it was made.
pub fn on_first_call(slot: u32, abi: usize, number: u32, seen: u8) {
    first_call(u64::from(slot), abi as u64, u64::from(number), u64::from(seen));
}

/// Global, and of whole registers, as [`byte_of`].
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn first_call(slot: u64, abi: u64, number: u64, seen: u64) -> u64 {
    let (abi, number, seen) = (abi as usize, number as u32, seen as u8);
    // Somebody else's may be in the cgroup.
    let Some(slot) = identity::owner_in(KernelTask::current(), Some(slot as u32)) else { return 0 };
    let Some(set) = tasks::set_of_current(slot) else { return 0 };
    let counts = counts(slot, set);
    if set == set::APPLICATION {
        keep_filter(u64::from(slot));
    }
    let is_bpf = is_bpf(abi, number) && may_count(slot, set);
    if is_bpf {
        watch_bpf(u64::from(slot));
    }
    // Each call of bpf(2) is to come this way, whoever makes it.
    let is_paired_now = is_bpf || (kernel::finds_denials() && counts && is_conditional(slot, abi, number));
    if is_paired_now {
        pair(slot, abi, number);
    }
    if kernel::finds_denials() && (!counts || is_paired(slot, abi, number)) {
        // SAFETY: a helper that takes nothing.
        denials::set_current_call(bpf_get_current_pid_tgid() as u32, number, slot);
    }
    if kernel::is_watched() && may_count(slot, set) {
        counters::count_first(slot, abi, number);
    }
    keep_call(u64::from(slot), set as u64, abi as u64, u64::from(number), u64::from(seen));
    if is_paired_now {
        // Somebody else's plain store may have taken it away.
        pair(slot, abi, number);
    }
    0
}

/// A call is in a set from now on. Global, so that it is verified once, and not for each set.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn keep_call(slot: u64, set: u64, abi: u64, number: u64, seen: u64) -> u64 {
    let (slot, set, abi, number) = (slot as u32, set as usize, abi as usize, number as u32);
    if (number as usize) >= NUMBERS || abi >= ABIS || set >= set::COUNT {
        beyond(slot, set, abi, number);
        return 0;
    }
    let Some(sets) = slots::sets(slot) else { return 0 };
    if let Some(byte) = place(sets, set, abi, number) {
        // SAFETY: the map's own memory.
        unsafe { mark(byte, slot, set, abi, number, seen as u8) };
    }
    0
}

/// A call's byte in a set; 0 for a number beyond. Global, and of whole registers: a bound on half of one gets lost on
/// the way to the verifier.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn byte_of(slot: u64, set: u64, abi: u64, number: u64) -> u64 {
    if set >= set::COUNT as u64 || abi >= ABIS as u64 || number >= NUMBERS as u64 {
        return 0;
    }
    // SAFETY: the map's own memory.
    let byte =
        |sets| place(sets, set as usize, abi as usize, number as u32).map_or(0, |byte| unsafe { *byte });
    slots::sets(slot as u32).map_or(0, |sets| u64::from(byte(sets)))
}

fn byte(slot: u32, set: usize, abi: usize, number: u32) -> u8 {
    byte_of(u64::from(slot), set as u64, abi as u64, u64::from(number)) as u8
}

/// Are its entries and exits held against each other?
pub fn is_paired(slot: u32, abi: usize, number: u32) -> bool {
    byte(slot, set::APPLICATION, abi, number) & MATCH_ENTER_EXIT != 0
}

/// Was this call let in by filters that don't do so always? The kernel keeps what they do whatever its arguments are
/// (`seccomp_cache_prepare` in kernel/seccomp.c). Whoever may be denied it is let in here first, or was never let in.
fn is_conditional(slot: u32, abi: usize, number: u32) -> bool {
    number < NUMBERS as u32
        && !is_paired(slot, abi, number)
        && KernelTask::current().filter().is_some_and(|filter| !filter.always_lets_in(abi, number))
}

/// Somebody calls bpf(2).
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn watch_bpf(number: u64) -> u64 {
    let Some(slot) = slots::slot(number as u32) else { return 0 };
    // SAFETY: the map's own memory.
    unsafe {
        if (*slot).could_tamper == 0 && KernelTask::current().is_admin() {
            (*slot).could_tamper = 1;
            events::publish_slot(event::COULD_TAMPER, number as u32);
        }
    }
    0
}

/// By one number, and not by a table: of an index that was kept on the stack older verifiers (6.1) forget the bound.
fn is_bpf(abi: usize, number: u32) -> bool {
    const fn call(abi: u64) -> u64 {
        abi << 32 | arch::BPF[abi as usize] as u64
    }
    let now = (abi as u64) << 32 | u64::from(number);
    now == call(0) || now == call(1) || now == call(2)
}

/// The application's filter, as it was before its program has loaded any of its own.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn keep_filter(number: u64) -> u64 {
    let Some(slot) = slots::slot(number as u32) else { return 0 };
    // SAFETY: the map's own memory.
    unsafe {
        let least = if (*slot).flags & flag::RUN_COMMAND != 0 { 0 } else { (*slot).filters_at_entry };
        if (*slot).filter == 0
            && (*slot).filters_at_exec > least
            && KernelTask::current().filters() == (*slot).filters_at_exec
        {
            (*slot).filter = u64::from(filters::top(number as u32));
        }
    }
    0
}

/// Were a set's calls made by threads whose filters are asked? In a cgroup without an engine also those after an exec, which
/// nobody but the program itself can have loaded a filter for.
fn counts(slot: u32, set: usize) -> bool {
    match set {
        set::PRE_EXEC => false,
        set::UNFILTERED_EXEC => slots::has_flag(slot, flag::NAMED_CGROUP),
        _ => true,
    }
}

/// Can a set's calls come to be in the recording?
fn may_count(slot: u32, set: usize) -> bool {
    !matches!(set, set::PRE_EXEC | set::UNFILTERED_EXEC) || slots::has_flag(slot, flag::NAMED_CGROUP)
}

/// Has a thread whose filters are asked ever entered this call?
pub fn was_allowed(slot: u32, abi: usize, number: u32) -> bool {
    (0..set::COUNT).any(|set| {
        let was = if (number as usize) < NUMBERS {
            byte(slot, set, abi, number) & SEEN != 0
        } else {
            HIGH_NUMBERS.get_ptr(HighNumber { slot, set: set as u16, abi: abi as u16, number }).is_some()
        };
        was && counts(slot, set)
    })
}

/// From now on this call's entries and exits are held against each other. By an atomic step: [`mark`] must not lose
/// what it stores. It may take this away in the same instant, so this is asked for twice.
fn pair(slot: u32, abi: usize, number: u32) {
    pair_of(u64::from(slot), abi as u64, u64::from(number));
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn pair_of(slot: u64, abi: u64, number: u64) -> u64 {
    let (abi, number) = (abi as usize, number as usize);
    let Some(sets) = slots::sets(slot as u32) else { return 0 };
    if abi >= ABIS || number >= NUMBERS {
        return 0;
    }
    let (word, shift) = (number & !7, (number & 7) * 8);
    // SAFETY: the map's own memory; words of eight bytes divide a set evenly.
    unsafe {
        let word = (&raw mut (*sets).calls[set::APPLICATION][abi][word]).cast();
        atomic::set_bits(word, u64::from(MATCH_ENTER_EXIT) << shift);
    }
    0
}

/// Plain stores: a race between two threads can at worst tell a call twice.
unsafe fn mark(byte: *mut u8, slot: u32, set: usize, abi: usize, number: u32, seen: u8) {
    // SAFETY: the caller's pointer is into a map's value.
    unsafe {
        if *byte & REPORTED != 0 {
            if *byte & seen != seen {
                *byte |= seen;
            }
            return;
        }
        *byte |= seen;
        if events::publish(event::FIRST_SEEN, slot, set as u16, abi as u16, number, 0) {
            *byte |= REPORTED;
        } else {
            events::count_dropped();
        }
    }
}

fn beyond(number_slot: u32, set: usize, abi: usize, number: u32) {
    let key = HighNumber { slot: number_slot, set: set as u16, abi: abi as u16, number };
    if HIGH_NUMBERS.get_ptr_mut(key).is_none() {
        let Some(slot) = slots::slot(number_slot) else { return };
        // SAFETY: the map's own memory.
        unsafe {
            let own = (*slot).beyond;
            let has_room = own < HIGH_NUMBERS_PER_SLOT && slots::has_room_for_high_number(own);
            if has_room && HIGH_NUMBERS.insert(key, 0, u64::from(aya_ebpf::bindings::BPF_NOEXIST)).is_ok() {
                atomic::add(&raw mut (*slot).beyond, 1);
                slots::count_high_numbers(1);
            } else if HIGH_NUMBERS.get_ptr_mut(key).is_none() {
                // Not even by another thread that came first with the same number.
                slots::lose_call(number_slot);
                return;
            }
        }
    }
    if let Some(byte) = HIGH_NUMBERS.get_ptr_mut(key) {
        // SAFETY: the map's own memory.
        unsafe { mark(byte, number_slot, set, abi, number, SEEN) };
    }
}
