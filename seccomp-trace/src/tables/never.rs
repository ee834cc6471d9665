//! Syscalls that the kernel never asks a filter about, although they show up at `sys_enter`: a rule
//! for one does nothing.

use crate::abi::Abi;

/// The kernel lets uprobes' own calls pass (`seccomp_uprobe_exception` in `kernel/seccomp.c`), of the
/// native architecture alone: under x32 the same numbers carry bit 30 and are filtered.
const NEVER_FILTERED: [(Abi, u32); 2] = [(Abi::X86_64, 335), (Abi::X86_64, 336)];

/// True for a syscall that no filter is ever asked about: uretprobe and uprobe.
pub fn is_never_filtered(abi: Abi, number: u32) -> bool {
    NEVER_FILTERED.contains(&(abi, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_native_uprobe_calls_pass_by_the_filter() {
        let names: Vec<_> = NEVER_FILTERED.iter().filter_map(|(abi, number)| abi.name(*number)).collect();
        assert_eq!(names, ["uretprobe", "uprobe"]);
        assert!(!is_never_filtered(Abi::I386, 335));
        assert!(!is_never_filtered(Abi::X32, 335));
    }
}
