//! Calls that do the same: where one is allowed, another C library, kernel or machine makes another one of them instead.
//! `--portable` adds those. Never what can do more than what it stands for would be asked to do anyway; what is left out on
//! purpose stands in docs/portable.md, whose table is this one.

use crate::recording::VDSO_CALLS;

/// Calls that stand for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portable {
    /// Where one of these is allowed; none: always.
    pub any_of: &'static [&'static str],
    /// These are, too. A name that no ABI of the profile has is left out.
    pub adds: &'static [&'static str],
    /// Why, in one clause.
    pub reason: &'static str,
    /// Where that is known from.
    pub source: &'static str,
}

/// Each for each other.
const fn same(calls: &'static [&'static str], reason: &'static str, source: &'static str) -> Portable {
    Portable { any_of: calls, adds: calls, reason, source }
}

const VDSO: Portable = Portable {
    any_of: &[],
    adds: &VDSO_CALLS,
    reason: "the vDSO answers it without a call, but not on a machine or in a sandbox without a vDSO clock",
    source: "vdso(7); arch/x86/entry/vdso; musl's src/time/clock_gettime.c",
};

const START: Portable = Portable {
    any_of: &["arch_prctl", "rseq", "set_robust_list", "set_thread_area", "set_tid_address"],
    adds: &["getrandom", "prlimit64", "readlink", "readlinkat", "rseq", "set_robust_list", "set_tid_address"],
    reason: "another C library, or another version of it, starts a program and a thread with it",
    source: "glibc's csu/libc-start.c, nptl/pthread_create.c, sysdeps/nptl/dl-tls_init_tp.c; musl's src/env/__init_tls.c",
};

const MEMORY: Portable = Portable {
    any_of: &["brk", "mmap", "mmap2"],
    adds: &["brk", "madvise", "mmap", "mmap2", "mprotect", "mremap", "munmap"],
    reason: "another C library's malloc takes memory and gives it back with it",
    source: "glibc's malloc/malloc.c, malloc/arena.c; musl's src/malloc/mallocng",
};

/// All of them.
pub const PORTABLE: &[Portable] = &[
    VDSO,
    START,
    MEMORY,
    same(
        &["creat", "open", "openat", "openat2"],
        "a file is opened by open (musl), openat (glibc, aarch64) or openat2 (newer programs)",
        "glibc's sysdeps/unix/sysv/linux/open64.c; musl's src/fcntl/open.c; openat2(2)",
    ),
    same(
        &["fstat", "fstat64", "fstatat64", "lstat", "lstat64", "newfstatat", "stat", "stat64", "statx"],
        "a file's state is asked for by stat, lstat, fstat (older glibc, musl), newfstatat (glibc 2.33) or statx (32-bit, newer)",
        "glibc's sysdeps/unix/sysv/linux/fstatat64.c; musl's src/stat/fstatat.c",
    ),
    same(
        &["access", "faccessat", "faccessat2"],
        "access is faccessat on aarch64, and faccessat2 with flags since Linux 5.8",
        "glibc's sysdeps/unix/sysv/linux/faccessat.c; musl's src/unistd/faccessat.c",
    ),
    same(
        &["chmod", "fchmodat", "fchmodat2"],
        "chmod is fchmodat on aarch64, and fchmodat2 with flags since Linux 6.6",
        "glibc's sysdeps/unix/sysv/linux/fchmodat.c; musl's src/stat/fchmodat.c",
    ),
    same(
        &["chown", "chown32", "fchownat", "lchown", "lchown32"],
        "chown and lchown are fchownat on aarch64",
        "asm-generic/unistd.h; musl's src/unistd/chown.c, lchown.c",
    ),
    same(
        &["fchown", "fchown32"],
        "32-bit libraries take the one with 32-bit ids",
        "arch/x86/entry/syscalls/syscall_32.tbl",
    ),
    same(&["mkdir", "mkdirat"], "aarch64 has mkdirat alone", "asm-generic/unistd.h"),
    same(&["mknod", "mknodat"], "aarch64 has mknodat alone", "asm-generic/unistd.h"),
    same(&["link", "linkat"], "aarch64 has linkat alone", "asm-generic/unistd.h"),
    same(&["symlink", "symlinkat"], "aarch64 has symlinkat alone", "asm-generic/unistd.h"),
    same(
        &["readlink", "readlinkat"],
        "aarch64 has readlinkat alone, and newer glibc takes it everywhere",
        "asm-generic/unistd.h; glibc's sysdeps/unix/sysv/linux/dl-origin.c",
    ),
    same(
        &["rmdir", "unlink", "unlinkat"],
        "aarch64 has unlinkat alone, which also removes directories",
        "asm-generic/unistd.h; musl's src/unistd/unlink.c, rmdir.c",
    ),
    same(
        &["rename", "renameat", "renameat2"],
        "aarch64 has renameat, riscv64 renameat2 alone",
        "asm-generic/unistd.h; glibc's sysdeps/unix/sysv/linux/rename.c",
    ),
    same(
        &["futimesat", "utime", "utimensat", "utimensat_time64", "utimes"],
        "a file's times are set by utimensat in newer libraries, by utime and utimes in older ones",
        "glibc's sysdeps/unix/sysv/linux/utimensat.c; asm-generic/unistd.h",
    ),
    same(&["pipe", "pipe2"], "aarch64 has pipe2 alone", "asm-generic/unistd.h; musl's src/unistd/pipe.c"),
    same(&["dup2", "dup3"], "aarch64 has dup3 alone", "asm-generic/unistd.h; musl's src/unistd/dup2.c"),
    same(
        &["clone", "clone3", "fork", "vfork"],
        "a process or thread is made by fork or vfork (musl), clone (aarch64, older glibc) or clone3 (glibc 2.34)",
        "glibc's sysdeps/unix/sysv/linux/clone-internal.c; musl's src/process/_Fork.c, vfork.s",
    ),
    same(
        &["poll", "ppoll", "ppoll_time64"],
        "aarch64 has ppoll alone; 32-bit libraries with 64-bit time take ppoll_time64",
        "asm-generic/unistd.h; musl's src/select/poll.c",
    ),
    same(
        &["_newselect", "pselect6", "pselect6_time64", "select"],
        "aarch64 has pselect6 alone, and newer glibc takes it everywhere",
        "glibc's sysdeps/unix/sysv/linux/select.c; musl's src/select/select.c",
    ),
    same(&["epoll_create", "epoll_create1"], "aarch64 has epoll_create1 alone", "musl's src/linux/epoll.c"),
    same(
        &["epoll_pwait", "epoll_pwait2", "epoll_wait"],
        "aarch64 has no epoll_wait; musl takes epoll_pwait; epoll_pwait2 is since Linux 5.11",
        "asm-generic/unistd.h; musl's src/linux/epoll.c",
    ),
    same(&["eventfd", "eventfd2"], "aarch64 has eventfd2 alone", "asm-generic/unistd.h"),
    same(&["signalfd", "signalfd4"], "aarch64 has signalfd4 alone", "asm-generic/unistd.h"),
    same(&["inotify_init", "inotify_init1"], "aarch64 has inotify_init1 alone", "asm-generic/unistd.h"),
    same(
        &["getdents", "getdents64"],
        "aarch64 has getdents64 alone, older libraries take getdents",
        "glibc's sysdeps/unix/sysv/linux/getdents.c",
    ),
    same(
        &["accept", "accept4"],
        "accept is accept4 on i386, and in programs that want its flags where the library has it",
        "glibc's sysdeps/unix/sysv/linux/accept.c; syscall_32.tbl",
    ),
    same(&["read", "readv"], "musl's stdio reads with readv", "musl's src/stdio/__stdio_read.c"),
    same(&["write", "writev"], "musl's stdio writes with writev", "musl's src/stdio/__stdio_write.c"),
    same(
        &["preadv", "preadv2"],
        "preadv2 without flags is preadv in older libraries",
        "glibc's sysdeps/unix/sysv/linux/preadv2.c",
    ),
    same(
        &["pwrite64", "pwritev", "pwritev2"],
        "pwritev2 without flags is pwritev in older libraries; musl after 1.2.5 writes with pwritev2 first",
        "glibc's sysdeps/unix/sysv/linux/pwritev2.c; musl's src/unistd/pwrite.c",
    ),
    same(
        &["_llseek", "lseek"],
        "32-bit libraries take the one with a 64-bit offset",
        "musl's src/unistd/lseek.c",
    ),
    same(
        &["fcntl", "fcntl64"],
        "32-bit libraries take the one with 64-bit offsets",
        "glibc's sysdeps/unix/sysv/linux/fcntl64.c",
    ),
    same(
        &["sendfile", "sendfile64"],
        "32-bit libraries take the one with a 64-bit offset",
        "glibc's sysdeps/unix/sysv/linux/sendfile.c",
    ),
    same(
        &["truncate", "truncate64"],
        "32-bit libraries take the one with a 64-bit length",
        "glibc's sysdeps/unix/sysv/linux/truncate64.c",
    ),
    same(
        &["ftruncate", "ftruncate64"],
        "32-bit libraries take the one with a 64-bit length",
        "glibc's sysdeps/unix/sysv/linux/ftruncate64.c",
    ),
    same(
        &["statfs", "statfs64"],
        "32-bit libraries take the one with 64-bit counts",
        "glibc's sysdeps/unix/sysv/linux/statfs64.c",
    ),
    same(
        &["fstatfs", "fstatfs64"],
        "32-bit libraries take the one with 64-bit counts",
        "glibc's sysdeps/unix/sysv/linux/fstatfs64.c",
    ),
    same(
        &["fadvise64", "fadvise64_64"],
        "32-bit libraries take the one with a 64-bit length",
        "glibc's sysdeps/unix/sysv/linux/posix_fadvise64.c",
    ),
    same(
        &["close", "close_range"],
        "what closes many files does so by close_range since Linux 5.9",
        "glibc's io/closefrom.c; close_range(2)",
    ),
    Portable {
        any_of: &["getrlimit", "setrlimit", "ugetrlimit"],
        adds: &["prlimit64"],
        reason: "newer libraries ask for limits and set them by prlimit64",
        source: "glibc's sysdeps/unix/sysv/linux/getrlimit64.c; musl's src/misc/getrlimit.c",
    },
    Portable {
        any_of: &["wait4", "waitid", "waitpid"],
        adds: &["pidfd_open", "wait4", "waitid", "waitpid"],
        reason: "Go 1.23 waits by waitid and a pidfd where the kernel has them, else by wait4",
        source: "Go's src/os/pidfd_linux.go; Python's asyncio/unix_events.py",
    },
    same(
        &["kill", "pidfd_send_signal"],
        "Go 1.23 signals a child by its pidfd where the kernel has them",
        "Go's src/os/pidfd_linux.go",
    ),
    same(&["tgkill", "tkill"], "musl's raise and pthread_kill are tkill", "musl's src/signal/raise.c"),
    Portable {
        any_of: &["pause"],
        adds: &["poll", "ppoll", "ppoll_time64"],
        reason: "pause is ppoll on aarch64",
        source: "glibc's sysdeps/unix/sysv/linux/pause.c; musl's src/internal/syscall.h",
    },
    same(
        &["alarm", "setitimer"],
        "alarm is setitimer in musl and on aarch64",
        "musl's src/unistd/alarm.c; glibc's sysdeps/posix/alarm.c",
    ),
    same(&["getpgid", "getpgrp"], "getpgrp is getpgid in musl and on aarch64", "musl's src/unistd/getpgrp.c"),
    same(
        &["clock_nanosleep", "clock_nanosleep_time64", "nanosleep"],
        "sleep is clock_nanosleep since glibc 2.31, and nanosleep in musl",
        "glibc's posix/nanosleep.c; musl's src/time/clock_nanosleep.c",
    ),
    same(
        &["clock_settime", "clock_settime64", "settimeofday", "stime"],
        "settimeofday is clock_settime since glibc 2.31",
        "glibc's time/settimeofday.c, time/stime.c",
    ),
    same(
        &["adjtimex", "clock_adjtime", "clock_adjtime64"],
        "adjtimex is clock_adjtime since glibc 2.31",
        "glibc's sysdeps/unix/sysv/linux/adjtimex.c",
    ),
    same(
        &["semop", "semtimedop", "semtimedop_time64"],
        "semop is semtimedop without a time in newer glibc",
        "glibc's sysdeps/unix/sysv/linux/semop.c",
    ),
    same(&["mlock", "mlock2"], "mlock2 without flags is mlock", "glibc's sysdeps/unix/sysv/linux/mlock2.c"),
    same(&["futex", "futex_time64"], TIME64, TIME64_SOURCE),
    same(&["io_pgetevents", "io_pgetevents_time64"], TIME64, TIME64_SOURCE),
    same(&["mq_timedreceive", "mq_timedreceive_time64"], TIME64, TIME64_SOURCE),
    same(&["mq_timedsend", "mq_timedsend_time64"], TIME64, TIME64_SOURCE),
    same(&["recvmmsg", "recvmmsg_time64"], TIME64, TIME64_SOURCE),
    same(&["rt_sigtimedwait", "rt_sigtimedwait_time64"], TIME64, TIME64_SOURCE),
    same(&["sched_rr_get_interval", "sched_rr_get_interval_time64"], TIME64, TIME64_SOURCE),
    same(&["timer_gettime", "timer_gettime64"], TIME64, TIME64_SOURCE),
    same(&["timer_settime", "timer_settime64"], TIME64, TIME64_SOURCE),
    same(&["timerfd_gettime", "timerfd_gettime64"], TIME64, TIME64_SOURCE),
    same(&["timerfd_settime", "timerfd_settime64"], TIME64, TIME64_SOURCE),
];

const TIME64: &str = "32-bit libraries with 64-bit time take the one of Linux 5.1";
const TIME64_SOURCE: &str = "arch/x86/entry/syscalls/syscall_32.tbl; musl's arch/i386/bits/syscall.h.in";

/// What stands for the calls of `allowed`, each with its reason. `allowed` itself is not in it.
pub fn equivalents(allowed: impl Fn(&str) -> bool) -> Vec<(&'static str, &'static str)> {
    PORTABLE
        .iter()
        .filter(|its| its.any_of.is_empty() || its.any_of.iter().any(|name| allowed(name)))
        .flat_map(|its| its.adds.iter().map(|name| (*name, its.reason)))
        .filter(|(name, _)| !allowed(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::abi::Abi;

    #[test]
    fn every_name_is_a_call_and_stands_once_in_its_row() {
        for row in PORTABLE {
            for names in [row.any_of, row.adds] {
                assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
                for name in names {
                    assert!(Abi::ALL.iter().any(|abi| abi.number(name).is_some()), "{name}");
                }
            }
            assert!(!row.adds.is_empty() && !row.reason.is_empty() && !row.source.is_empty());
        }
    }

    /// Else what is added would depend on the order of the rows, and adding twice would add more.
    #[test]
    fn what_is_added_adds_nothing_more() {
        for first in Abi::ALL.iter().flat_map(|abi| abi.syscalls()).map(|(_, name)| name) {
            let mut all: BTreeSet<_> = [first].into();
            all.extend(equivalents(|name| name == first).into_iter().map(|(name, _)| name));
            let more = equivalents(|name| all.contains(name));
            assert!(more.is_empty(), "{first}: {more:?}");
        }
    }

    /// Nothing that a container engine keeps from its containers comes in by an equivalent of what it allows.
    #[test]
    fn nothing_dangerous_is_added() {
        let added: BTreeSet<_> = PORTABLE.iter().flat_map(|row| row.adds).copied().collect();
        for name in [
            "add_key",
            "bpf",
            "execveat",
            "fsopen",
            "init_module",
            "io_uring_setup",
            "ioctl",
            "ipc",
            "kexec_load",
            "keyctl",
            "mount",
            "move_mount",
            "name_to_handle_at",
            "open_by_handle_at",
            "perf_event_open",
            "personality",
            "pidfd_getfd",
            "process_vm_readv",
            "ptrace",
            "setns",
            "socket",
            "socketcall",
            "syslog",
            "umount2",
            "unshare",
            "userfaultfd",
        ] {
            assert!(!added.contains(name), "{name}");
        }
    }
}
