//! The numbers that a program can call as it likes: with every argument -1 (a bad descriptor, a bad pointer, no such
//! process, no such flag) as nobody, they fail, or change nothing but the caller.

use seccomp_trace::abi::Abi;

/// The ABIs that a 64-bit program can call by.
#[cfg(not(target_arch = "aarch64"))]
pub const CALLABLE: &[Abi] = Abi::HOST;
/// The ABIs that a 64-bit program can call by.
#[cfg(target_arch = "aarch64")]
pub const CALLABLE: &[Abi] = &[Abi::Aarch64];

/// What is left out, by name, whatever the ABI.
const LEFT_OUT: [&[&str]; 9] = [
    // Ends the caller.
    &["exit", "exit_group", "rt_sigreturn", "sigreturn", "uretprobe", "uprobe"],
    // Never returns.
    &["pause", "sigsuspend", "vm86", "vm86old"],
    // Has one more process go through all of it.
    &["fork", "vfork", "clone"],
    // Sends signals; -1 is everybody.
    &["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"],
    // Changes what the end of the caller needs: its signals, its group, its address space, its threads' joining.
    &["ssetmask", "setsid", "brk", "set_tid_address"],
    // Makes what outlives the caller.
    &["msgget", "semget", "shmget", "ipc"],
    // The machine itself: nobody may, and nothing tries.
    &[
        "reboot",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "acct",
        "sync",
    ],
    &["mount", "umount", "umount2", "pivot_root", "swapon", "swapoff", "quotactl", "quotactl_fd", "vhangup"],
    &[
        "sethostname",
        "setdomainname",
        "settimeofday",
        "stime",
        "clock_settime",
        "clock_settime64",
        "iopl",
        "ioperm",
    ],
];

/// Whether it is one of them. Numbers without a name are: no kernel does anything for them.
pub fn is_safe(abi: Abi, number: u32) -> bool {
    abi.name(number).is_none_or(|name| !LEFT_OUT.concat().contains(&name))
}

/// All of them below `end`, in order.
pub fn numbers(abi: Abi, end: u32) -> impl Iterator<Item = u32> {
    (0..end).filter(move |number| is_safe(abi, *number))
}

/// What a C program needs to call them: `CALLS`, an array of `{ABI, NUMBER}`, with `make(ABI, NUMBER)`, which calls
/// one and gives its result. It needs no C library.
pub fn c_source(calls: impl IntoIterator<Item = (Abi, u32)>) -> String {
    let index = |abi| CALLABLE.iter().position(|one| *one == abi).unwrap_or(usize::MAX);
    let rows: Vec<_> =
        calls.into_iter().map(|(abi, number)| format!("{{{}, {number}u}}", index(abi))).collect();
    format!(
        "static const struct {{ int abi; unsigned number; }} CALLS[] = {{\n{}\n}};\n{MAKE}",
        rows.join(", ")
    )
}

const MAKE: &str = r#"
#if defined __aarch64__
static long make(int abi, unsigned number) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = -1, x1 __asm__("x1") = -1, x2 __asm__("x2") = -1;
    register long x3 __asm__("x3") = -1, x4 __asm__("x4") = -1, x5 __asm__("x5") = -1;
    (void)abi;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
/* By its ABI: 0 is x86_64, 1 i386 (0xffffffff is no address of this program either), 2 x32. */
static long make(int abi, unsigned number) {
    if (abi == 1) {
        int result;
        __asm__ volatile("int $0x80"
                         : "=a"(result) : "a"(number), "b"(-1L), "c"(-1L), "d"(-1L), "S"(-1L), "D"(-1L)
                         : "r8", "r9", "r10", "r11", "memory");
        return result;
    }
    long result;
    register long r10 __asm__("r10") = -1, r8 __asm__("r8") = -1, r9 __asm__("r9") = -1;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"((long)(abi == 2 ? number | 0x40000000 : number)), "D"(-1L), "S"(-1L), "d"(-1L),
                       "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#endif
"#;

/// `tighten()`: from then on the thread is nobody, and can't make descriptors or processes. What is open stays.
pub const TIGHTEN: &str = r#"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not by libc, which would tell every thread. */
static void tighten(void) {
    static const struct { int what; unsigned long most; } LIMITS[] = {
        {RLIMIT_NOFILE, 0}, {RLIMIT_NPROC, 0}, {RLIMIT_MEMLOCK, 0}, {RLIMIT_CORE, 0},
    };
    if (!syscall(SYS_geteuid) && (syscall(SYS_setgroups, 0, 0) || syscall(SYS_setresgid, 65534, 65534, 65534)
                                  || syscall(SYS_setresuid, 65534, 65534, 65534))) _exit(3);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) _exit(4);
    for (unsigned i = 0; i < sizeof LIMITS / sizeof *LIMITS; i++) {
        struct rlimit limit = {LIMITS[i].most, LIMITS[i].most};
        if (syscall(SYS_prlimit64, 0, LIMITS[i].what, &limit, (void *)0)) _exit(5);
    }
}
"#;
