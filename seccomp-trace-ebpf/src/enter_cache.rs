//! The call of a known number that was entered last on each processor. Most such calls end before another one begins there:
//! then no table is asked at their end, where the way back to user space waits for each look-up.

use aya_ebpf::{macros::map, maps::PerCpuArray};

use crate::kernel::{CssSet, Current, Run};

/// Who entered it; nobody once it has ended.
#[map]
static LAST: PerCpuArray<Run> = PerCpuArray::with_max_entries(1, 0);

/// The current task has entered a call that its application's set knows, and of which nothing else is kept.
#[inline(always)]
pub fn set(current: Current, css_set: CssSet) {
    if let Some(last) = LAST.get_ptr_mut(0) {
        // SAFETY: the map's own memory, of this processor alone.
        unsafe { *last = current.run(css_set) };
    }
}

/// Is this the end of that call? True once: a call that is denied ends without having been entered. Whatever a task ends, nothing
/// that it entered before is left.
#[inline(always)]
pub fn ends(current: Current, css_set: CssSet) -> bool {
    // It is always there: no way from here on is to be verified.
    let Some(last) = LAST.get_ptr_mut(0) else { return true };
    // SAFETY: as in `set`.
    unsafe {
        let (was, run) = (*last, current.run(css_set));
        if was.task == run.task {
            (*last).task = 0;
        }
        was == run
    }
}
