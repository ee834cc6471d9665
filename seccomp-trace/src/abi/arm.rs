//! Where ARM's tables differ from those of the crate `syscalls`: calls that only an ARM kernel knows, which its 32-bit programs make
//! (arch/arm/include/uapi/asm/unistd.h, arch/arm64/kernel/sys_compat.c), and what aarch64 has not or calls otherwise
//! (include/uapi/asm-generic/unistd.h).

use std::ops::Range;

/// arm's private calls.
pub(super) const PRIVATE: Range<u32> = 0xf_0000..0xf_0010;

const OWN: [(u32, &str); 6] = [
    (0xf_0001, "breakpoint"),
    (0xf_0002, "cacheflush"),
    (0xf_0003, "usr26"),
    (0xf_0004, "usr32"),
    (0xf_0005, "set_tls"),
    (0xf_0006, "get_tls"),
];

/// The name of one of arm's private numbers.
pub(super) fn own_name(number: u32) -> Option<&'static str> {
    OWN.iter().find(|(its, _)| *its == number).map(|(_, name)| *name)
}

/// The number of a name among them.
pub(super) fn own_number(name: &str) -> Option<u32> {
    OWN.iter().find(|(_, its)| *its == name).map(|(number, _)| *number)
}

/// aarch64's fstatat, which the crate calls otherwise.
pub(super) const NEWFSTATAT: (u32, &str) = (79, "newfstatat");

/// True for a number that the crate has for aarch64 and the kernel has not: calls with 64-bit time, for 32-bit programs.
pub(super) fn aarch64_lacks(number: u32) -> bool {
    (403..=423).contains(&number)
}
