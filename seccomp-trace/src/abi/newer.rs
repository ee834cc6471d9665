//! Syscalls newer than the crate `syscalls`. Since Linux 5.1 a new one has the same number on every
//! ABI that we know (`arch/x86/entry/syscalls/*.tbl`).

/// Numbers and names, in order.
const NEWER: [(u32, &str); 2] = [(470, "listns"), (471, "rseq_slice_yield")];

/// The name of a number.
pub(super) fn name(number: u32) -> Option<&'static str> {
    NEWER.iter().find(|(its, _)| *its == number).map(|(_, name)| *name)
}

/// The number of a name.
pub(super) fn number(name: &str) -> Option<u32> {
    NEWER.iter().find(|(_, its)| *its == name).map(|(number, _)| *number)
}
