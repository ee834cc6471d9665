//! Where x32 differs from x86_64 (`arch/x86/entry/syscalls/syscall_64.tbl`): it lacks the numbers that
//! the table marks `64`, and has its own 512–547, marked `x32`. All without bit 30.

use std::ops::RangeInclusive;

/// x32's own numbers. No other ABI uses them.
pub(super) const OWN_NUMBERS: RangeInclusive<u32> = 512..=547;

/// The names of 512–547.
const OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// The numbers of x86_64 that x32 lacks: those above under their old number, calls gone before x32
/// came, and map_shadow_stack (453).
const LACKING: [u32; 48] = [
    13, 15, 16, 19, 20, 45, 46, 47, 54, 55, 59, 101, 127, 128, 129, 131, 134, 156, 174, 177, 178, 180, 205,
    206, 209, 211, 214, 215, 222, 236, 244, 246, 247, 273, 274, 278, 279, 295, 296, 297, 299, 307, 310, 311,
    322, 327, 328, 453,
];

/// True for a number of x86_64 that x32 lacks.
pub(super) fn lacks(number: u32) -> bool {
    LACKING.contains(&number)
}

/// The name of one of x32's own numbers.
pub(super) fn own_name(number: u32) -> Option<&'static str> {
    OWN.get(number.checked_sub(*OWN_NUMBERS.start())? as usize).copied()
}

/// The number of a name among x32's own.
pub(super) fn own_number(name: &str) -> Option<u32> {
    OWN_NUMBERS.zip(OWN).find(|(_, own)| *own == name).map(|(number, _)| number)
}
