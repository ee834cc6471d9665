//! What a profile must allow although it may not have been seen: calls that depend on the moment, not
//! on what the container does. Each stands here with its reason and its source.

/// A syscall that must always be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Always {
    /// Its name. One that no ABI of a profile has (`sigreturn` on x86_64) is left out of that profile.
    pub name: &'static str,
    /// Why, in one clause.
    pub reason: &'static str,
    /// Where that is known from.
    pub source: &'static str,
}

/// All of them, by name.
pub const ALWAYS: [Always; 19] = [
    // Go starts its netpoller with the first timer or file that needs one. In a busy program, a timer is one whenever
    // the scheduler happens to look: in some starts, and not in others. Where one of these calls is denied, the program dies.
    Always {
        name: "epoll_create1",
        reason: "Go makes its netpoller with it when it happens to need one, and dies where it can't",
        source: "Go's src/runtime/netpoll_epoll.go, netpollinit; measured: without it 9 of 20 starts of a Go 1.19 program failed",
    },
    Always {
        name: "epoll_ctl",
        reason: "Go adds files to its netpoller with it, the netpoller's own first of all",
        source: "Go's src/runtime/netpoll_epoll.go, netpollinit and netpollopen",
    },
    Always {
        name: "epoll_pwait",
        reason: "Go waits for its files with it, in runc too, when a thread happens to be idle",
        source: "Go's src/runtime/netpoll_epoll.go, netpoll",
    },
    Always {
        name: "eventfd2",
        reason: "Go, from 1.21 on, wakes its netpoller by such a file, which it makes together with the netpoller",
        source: "Go's src/runtime/netpoll_epoll.go, netpollinit",
    },
    Always {
        name: "execve",
        reason: "the container's own start is an execve after the filter is loaded",
        source: "runc's libcontainer/standard_init_linux.go; crun's src/libcrun/container.c",
    },
    Always {
        name: "exit",
        reason: "a thread ends with it; one that was killed while recorded did not get there",
        source: "exit(2); glibc's nptl/pthread_create.c",
    },
    Always {
        name: "exit_group",
        reason: "a process ends with it; one that was killed while recorded did not get there",
        source: "exit_group(2)",
    },
    Always {
        name: "futex",
        reason: "a lock is a system call only when two threads happen to meet at it",
        source: "futex(7); measured: 14 of 15 starts under runc 1.3.6",
    },
    Always {
        name: "futex_time64",
        reason: "futex, for a 32-bit program with 64-bit time",
        source: "glibc's sysdeps/unix/sysv/linux/futex-internal.h",
    },
    Always {
        name: "getpid",
        reason: "Go asks it before each tgkill by which it interrupts a busy thread",
        source: "Go's src/runtime/os_linux.go, signalM",
    },
    Always {
        name: "madvise",
        reason: "Go gives memory back with it, and asks for huge pages, when its collector happens to run",
        source: "Go's src/runtime/mem_linux.go, sysUnusedOS and sysHugePageOS",
    },
    Always {
        name: "mmap",
        reason: "Go's heap grows with it, in runc too, when it happens to be full",
        source: "Go's src/runtime/mem_linux.go, sysMapOS, where a failure is fatal; measured: 1 of 1,800 starts under runc 1.1.5",
    },
    Always {
        name: "nanosleep",
        reason: "Go's scheduler sleeps with it, in runc too, when it happens to find no work",
        source: "Go's src/runtime/sys_linux_amd64.s, usleep",
    },
    Always {
        name: "pipe2",
        reason: "Go, up to 1.20, wakes its netpoller by such a pipe, which it makes together with the netpoller",
        source: "Go's src/runtime/netpoll_epoll.go, netpollinit",
    },
    Always {
        name: "restart_syscall",
        reason: "the kernel makes it of a sleep that SIGSTOP and SIGCONT interrupt",
        source: "restart_syscall(2)",
    },
    Always {
        name: "rt_sigreturn",
        reason: "every signal handler returns through it, and a signal may come at any moment",
        source: "sigreturn(2); measured: without it 14 of 130 starts under runc failed",
    },
    Always {
        name: "sched_yield",
        reason: "spinning locks and Go's scheduler call it when they happen to wait",
        source: "Go's src/runtime/sys_linux_amd64.s, osyield",
    },
    Always {
        name: "sigreturn",
        reason: "rt_sigreturn, for a 32-bit program's handler without SA_SIGINFO",
        source: "sigreturn(2)",
    },
    Always {
        name: "tgkill",
        reason: "Go interrupts a busy thread with it, in runc too; abort and raise are made of it",
        source: "Go's src/runtime/os_linux.go, signalM; measured: in some starts under runc 1.3.6",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Abi;

    #[test]
    fn sorted_and_known_and_the_32_bit_spellings_are_of_i386_alone() {
        assert!(ALWAYS.is_sorted_by(|a, b| a.name < b.name));
        for always in ALWAYS {
            assert!(Abi::I386.number(always.name).is_some(), "{}", always.name);
            let only_i386 = ["futex_time64", "sigreturn"].contains(&always.name);
            assert_eq!(Abi::X86_64.number(always.name).is_none(), only_i386, "{}", always.name);
            assert_eq!(Abi::X32.number(always.name).is_none(), only_i386, "{}", always.name);
        }
    }
}
