//! What a seccomp filter does: the kernel keeps each loaded filter's classic BPF program, and this is an interpreter of it. Pure, over
//! bytes that somebody else has read.
//!
//! The machine: <https://www.kernel.org/doc/Documentation/networking/filter.txt>; what seccomp allows of it: `seccomp_check_filter` in
//! kernel/seccomp.c.

mod kind;
mod program;
mod verdict;

pub use kind::Kind;
pub use program::{Malformed, Program};
pub use verdict::Verdict;

use crate::abi::Abi;

/// What a filter is asked about one call (`struct seccomp_data`, include/uapi/linux/seccomp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The number; an x32 one with its bit 30.
    pub number: u32,
    /// The architecture (`AUDIT_ARCH_…`, include/uapi/linux/audit.h).
    pub arch: u32,
    /// The arguments, 64 bits each.
    pub arguments: [u64; 6],
}

impl Call {
    /// A call of an ABI, by the number that its table has.
    #[must_use]
    pub fn new(abi: Abi, number: u32, arguments: [u64; 6]) -> Self {
        let (arch, bit) = match abi {
            Abi::X86_64 => (0xc000_003e, 0),
            Abi::X32 => (0xc000_003e, seccomp_trace_common::X32_BIT),
            Abi::I386 => (0x4000_0003, 0),
            Abi::Aarch64 => (0xc000_00b7, 0),
            Abi::Arm => (0x4000_0028, 0),
        };
        Self { number: number | bit, arch, arguments }
    }

    /// One of its sixteen words of 32 bits. The instruction pointer, of which nobody asks, is 0.
    fn word(&self, index: usize) -> u32 {
        let half = |argument: u64, is_high: bool| (if is_high { argument >> 32 } else { argument }) as u32;
        match index {
            0 => self.number,
            1 => self.arch,
            2 | 3 => 0,
            at => self.arguments.get((at - 4) / 2).map_or(0, |argument| {
                // The words of an argument stand in the machine's order.
                half(*argument, (at % 2 == 1) == cfg!(target_endian = "little"))
            }),
        }
    }
}

/// What a filter answers, the strictest first: that order is the kernel's (seccomp(2), "Filter return values").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The end of the process, also what the kernel does at an action that it doesn't know.
    KillProcess,
    /// The end of the thread.
    KillThread,
    /// SIGSYS.
    Trap,
    /// This errno, at most 4095; 0 is a success.
    Errno(u16),
    /// A supervisor is asked.
    Notify,
    /// A tracer is told; without one, ENOSYS.
    Trace,
    /// The call is made, and logged.
    Log,
    /// The call is made.
    Allow,
}

impl Action {
    /// Of a filter's return value.
    #[must_use]
    pub fn of(value: u32) -> Self {
        let data = value as u16;
        match value & 0xffff_0000 {
            0x0000_0000 => Self::KillThread,
            0x0003_0000 => Self::Trap,
            0x0005_0000 => Self::Errno(data.min(4095)),
            0x7fc0_0000 => Self::Notify,
            0x7ff0_0000 => Self::Trace,
            0x7ffc_0000 => Self::Log,
            0x7fff_0000 => Self::Allow,
            // SECCOMP_RET_KILL_PROCESS, and unknown ones.
            _ => Self::KillProcess,
        }
    }

    /// Is the call made, without anybody else being asked?
    #[must_use]
    pub fn lets_in(self) -> bool {
        matches!(self, Self::Log | Self::Allow)
    }

    /// As `Ord`, without what is told besides: of two errnos none is stricter.
    fn rank(self) -> Self {
        if let Self::Errno(_) = self { Self::Errno(0) } else { self }
    }
}

/// The answer of several filters of one thread, the one that was loaded last first: the kernel asks all, and takes the strictest; of
/// equal ones that of the last (`seccomp_run_filters`).
pub fn strictest<'a>(programs: impl IntoIterator<Item = &'a Program>, call: &Call) -> Action {
    let answers = programs.into_iter().map(|program| Action::of(program.run(call)));
    answers.fold(Action::Allow, |kept, next| if next.rank() < kept.rank() { next } else { kept })
}

#[cfg(test)]
mod tests;
