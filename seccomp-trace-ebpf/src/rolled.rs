//! Loops that the compiler does not unroll. What stands in a program costs at its start: for each look-up the kernel moves all
//! that stands behind it (`bpf_patch_insn_data`), and sixteen probes would be sixteen of them.

/// `0..times`, as [`rolled`] makes it.
pub struct Rolled {
    next: u64,
    times: u64,
}

/// As `0..times`.
#[inline(always)]
pub fn rolled(times: usize) -> Rolled {
    Rolled { next: 0, times: times as u64 }
}

impl Iterator for Rolled {
    type Item = u32;

    #[inline(always)]
    fn next(&mut self) -> Option<u32> {
        let mut next = self.next;
        // SAFETY: a register that keeps its value, of which the verifier still knows what it is, and the compiler no longer.
        unsafe { core::arch::asm!("{0} = {0}", inout(reg) next) };
        self.next = next + 1;
        (next < self.times).then_some(next as u32)
    }
}
