//! What user space asks of the tables, run by `BPF_PROG_TEST_RUN`: the kernel stays their only writer.

use core::ffi::c_void;

use aya_ebpf::programs::RawTracePointContext;
use seccomp_trace_common::{
    cell::{BUSY, EMPTY, IGNORED, REMOVED, ROOT},
    control::{COUNT, DROP_BEYOND, ENROL, FORGET, FULL, IGNORE, IS_IGNORED, MARK, RELEASE, SETTLE, SHARE},
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
        DROP_BEYOND => {
            slots::count_beyond(0_i64.wrapping_sub(cgroup as i64));
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
            slots::clear_flag(cgroup as u32, flag::UNSETTLED);
            return 0;
        }
        _ => {}
    }
    // What marks a cell is no cgroup: to take "empty" out would take out somebody else's.
    if matches!(cgroup, EMPTY | ROOT | REMOVED | BUSY) {
        return FULL;
    }
    match ctx.arg::<u64>(0) {
        ENROL => enrol(cgroup, second as u32, third as u32),
        SHARE => share(cgroup, second as u32),
        IGNORE => ignore(cgroup),
        FORGET => forget(cgroup),
        MARK => mark(cgroup, second as u32),
        _ => FULL,
    }
}

fn known(cgroup: u64) -> Option<u32> {
    cgroups::slot_of(cgroup).map(|slot| if slot == IGNORED { IS_IGNORED } else { slot })
}

fn enrol(cgroup: u64, flags: u32, base: u32) -> u32 {
    if let Some(slot) = known(cgroup) {
        // It enrolled itself, and is named by the user as well.
        if flags & flag::PINNED != 0 {
            slots::set_flag(slot, flag::PINNED | flag::FOLLOWED);
        }
        return slot;
    }
    match slots::take(cgroup, flags, base, slots::Maker::current(), 0, core::ptr::null()) {
        Some(slot) if cgroups::insert(cgroup, slot) => slot,
        Some(slot) => {
            slots::drop_cell(slot);
            FULL
        }
        None => FULL,
    }
}

fn share(cgroup: u64, slot: u32) -> u32 {
    if let Some(slot) = known(cgroup) {
        return slot;
    }
    if slots::is_full(slot) {
        slots::crowd(slot);
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

fn mark(cgroup: u64, flags: u32) -> u32 {
    if let Some(slot) = cgroups::slot_of(cgroup).filter(|slot| *slot != IGNORED) {
        slots::set_flag(slot, flags);
    }
    0
}

fn forget(cgroup: u64) -> u32 {
    if let Some(slot) = cgroups::remove(cgroup)
        && slot != IGNORED
    {
        identity::release(slot);
        slots::drop_cell(slot);
    }
    0
}
