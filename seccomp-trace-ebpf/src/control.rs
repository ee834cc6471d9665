//! What user space asks of the tables, run by `BPF_PROG_TEST_RUN`: the kernel stays their only writer.

use core::ffi::c_void;

use aya_ebpf::programs::RawTracePointContext;
use seccomp_trace_common::{
    cell::{BUSY, EMPTY, IGNORED, REMOVED, ROOT},
    control::{
        ADD_TO_SLOT, COUNT, DROP_HIGH_NUMBERS, FULL, IGNORE, IS_IGNORED, RELEASE, SET_SLOT_FLAGS, SETTLE,
        TRACK, UNTRACK,
    },
    flag,
};

use crate::{cgroups, counters, identity, slots};

/// Arguments and results: `seccomp_trace_common::control`. Never attached. Without aya's macro, which returns 0
/// whatever the function says.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp/sys_enter")]
pub fn control(ctx: *mut c_void) -> u32 {
    let ctx = RawTracePointContext::new(ctx);
    let (cgroup, second, third): (u64, u64, u64) = (ctx.arg(1), ctx.arg(2), ctx.arg(3));
    match ctx.arg::<u64>(0) {
        DROP_HIGH_NUMBERS => {
            slots::count_high_numbers(0_i64.wrapping_sub(cgroup as i64));
            return 0;
        }
        RELEASE => {
            identity::release(cgroup as u32);
            slots::end_released(cgroup as u32);
            return 0;
        }
        COUNT => {
            counters::set(cgroup as u32, second);
            return 0;
        }
        SETTLE => {
            slots::clear_flag(cgroup as u32, flag::SYSCALL_STATE_UNKNOWN);
            return 0;
        }
        _ => {}
    }
    // What marks a cell is no cgroup: to take "empty" out would take out somebody else's.
    if matches!(cgroup, EMPTY | ROOT | REMOVED | BUSY) {
        return FULL;
    }
    match ctx.arg::<u64>(0) {
        TRACK => track(cgroup, second as u32, third as u32),
        ADD_TO_SLOT => add_to_slot(cgroup, second as u32),
        IGNORE => ignore(cgroup),
        UNTRACK => untrack(cgroup),
        SET_SLOT_FLAGS => set_slot_flags(cgroup, second as u32),
        _ => FULL,
    }
}

fn known(cgroup: u64) -> Option<u32> {
    cgroups::slot_of(cgroup).map(|slot| if slot == IGNORED { IS_IGNORED } else { slot })
}

fn track(cgroup: u64, flags: u32, filters_at_exec: u32) -> u32 {
    if let Some(slot) = known(cgroup) {
        // The kernel program tracked it, and it is named by the user as well.
        if flags & flag::NAMED_CGROUP != 0 {
            slots::set_flag(slot, flag::NAMED_CGROUP | flag::FOLLOWED);
        }
        return slot;
    }
    match slots::take(cgroup, flags, filters_at_exec, slots::Maker::current(), 0, core::ptr::null()) {
        Some(slot) if cgroups::insert(cgroup, slot) => slot,
        Some(slot) => {
            slots::drop_cell(slot);
            FULL
        }
        None => FULL,
    }
}

fn add_to_slot(cgroup: u64, slot: u32) -> u32 {
    if let Some(slot) = known(cgroup) {
        return slot;
    }
    if slots::is_full(slot) {
        slots::mark_overflow(slot);
        return slot;
    }
    if !slots::add_cell(slot) {
        // Its container has ended meanwhile, and this cgroup with it.
        return slot;
    }
    if !cgroups::insert(cgroup, slot) {
        slots::lose_call(slot);
        slots::drop_cell(slot);
        return FULL;
    }
    slot
}

fn ignore(cgroup: u64) -> u32 {
    match cgroups::replace(cgroup, IGNORED) {
        Some(IGNORED) => {}
        Some(slot) => {
            identity::release(slot);
            slots::drop_cell(slot);
        }
        None if cgroups::insert(cgroup, IGNORED) => {}
        None => return FULL,
    }
    IS_IGNORED
}

fn set_slot_flags(cgroup: u64, flags: u32) -> u32 {
    if let Some(slot) = cgroups::slot_of(cgroup).filter(|slot| *slot != IGNORED) {
        slots::set_flag(slot, flags);
    }
    0
}

fn untrack(cgroup: u64) -> u32 {
    if let Some(slot) = cgroups::remove(cgroup)
        && slot != IGNORED
    {
        identity::release(slot);
        slots::drop_cell(slot);
    }
    0
}
