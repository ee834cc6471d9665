//! What differs between the machines that the program is built for: aya-build says which (`bpf_target_arch`), and without it
//! the program is x86's.

#[cfg(bpf_target_arch = "aarch64")]
pub use aarch64::{ARGUMENTS, BPF, CLONES, COMPAT, EXECS, HAS_X32};
#[cfg(not(bpf_target_arch = "aarch64"))]
pub use x86::{ARGUMENTS, BPF, CLONES, COMPAT, EXECS, HAS_X32};

/// arch/x86/entry/syscalls.
#[cfg(not(bpf_target_arch = "aarch64"))]
mod x86 {
    use seccomp_trace_common::ABIS;

    /// In `thread_info.status`, a 32-bit call: `TS_COMPAT` (arch/x86/include/asm/thread_info.h).
    pub const COMPAT: u32 = 2;
    /// Has it x32's numbers?
    pub const HAS_X32: bool = true;
    /// Numbers by ABI of the calls in which children begin (clone, fork, vfork, clone3): their return is the child's first,
    /// and no entry precedes it.
    pub const CLONES: [[u32; 4]; ABIS] = [[56, 57, 58, 435], [120, 2, 190, 435], [56, 57, 58, 435]];
    /// Numbers by ABI as which a successful exec may return, in the ABI of the new program: always execve's.
    pub const EXECS: [[u32; 4]; ABIS] = [[59; 4], [11; 4], [520; 4]];
    /// The number by ABI of bpf(2).
    pub const BPF: [u32; ABIS] = [321, 357, 321];
    /// Where the arguments of a 64-bit call and of a 32-bit one stand in `pt_regs`, which programs see the same way
    /// (arch/x86/include/uapi/asm/ptrace.h): rdi, rsi, rdx, r10, r8, r9; ebx, ecx, edx, esi, edi, ebp.
    pub const ARGUMENTS: [[u32; 6]; 2] = [[112, 104, 96, 56, 72, 64], [40, 88, 96, 104, 112, 32]];
}

/// include/uapi/asm-generic/unistd.h and, for 32-bit programs, arch/arm/tools/syscall.tbl.
#[cfg(bpf_target_arch = "aarch64")]
mod aarch64 {
    use seccomp_trace_common::ABIS;

    /// In `thread_info.flags`, a 32-bit program: `TIF_32BIT` (arch/arm64/include/asm/thread_info.h).
    pub const COMPAT: u32 = 1 << 22;
    /// As on x86.
    pub const HAS_X32: bool = false;
    /// As on x86.
    pub const CLONES: [[u32; 4]; ABIS] = [[220, 435, 220, 435], [120, 2, 190, 435], [u32::MAX; 4]];
    /// The number stays that of the old program's call (`start_thread_common`): execve or execveat of either ABI.
    pub const EXECS: [[u32; 4]; ABIS] = [[221, 281, 11, 387], [221, 281, 11, 387], [u32::MAX; 4]];
    /// As on x86.
    pub const BPF: [u32; ABIS] = [280, 386, u32::MAX];
    /// As on x86: `orig_x0`, which the result does not overwrite, and x1 to x5 (arch/arm64/include/asm/ptrace.h).
    pub const ARGUMENTS: [[u32; 6]; 2] = [[272, 8, 16, 24, 32, 40]; 2];
}
