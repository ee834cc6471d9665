//! The programs of these tests, each with the calls that it makes.

use seccomp_trace::abi::Abi;

/// A container's programs, and what is to be seen of them.
pub struct Subject {
    /// Their names below `/abi`, and how they are made.
    pub programs: &'static [(&'static str, Source)],
    pub argv: &'static [&'static str],
    /// What it prints; none where that is the kernel's to say.
    pub says: Option<&'static str>,
    /// Its calls on x86_64; none where a shell is part of it.
    pub native: Option<&'static [&'static str]>,
    /// The other ABI, and its calls.
    pub other: (Abi, &'static [&'static str]),
    /// One of those, without which it does something else.
    pub needs: &'static str,
}

pub enum Source {
    Bare(&'static str),
    Bare32(&'static str),
    Libc(&'static str),
}

/// An i386 program alone, with calls that only i386 has, or has under another number than x86_64.
pub const ONLY_32: Subject = Subject {
    programs: &[(
        "only32",
        Source::Bare32(
            r#"long unix_stream[3] = {1, 1, 0}, space[64], memory;
            say("getpid", call(20, 0, 0, 0));
            say("getuid32", call(199, 0, 0, 0));
            say("socketcall", call(102, 1, (long)unix_stream, 0));
            __asm__ volatile("int $0x80" : "=a"(memory)
                             : "a"(192), "b"(0), "c"(4096), "d"(3), "S"(0x22), "D"(-1) : "memory");
            *(volatile long *)memory = 7;
            say("mmap2", *(volatile long *)memory);
            say("fstat64", call(197, 1, (long)space, 0));
            say("_llseek", call(140, -1, 0, 0));
            say("clock_gettime64", call(403, 1, (long)space, 0));
            say("waitpid", call(7, -1, 0, 0));
            say("time", call(13, 0, 0, 0) > 0);
            say("ugetrlimit", call(191, 7, (long)space, 0));
            say("break", call(17, 0, 0, 0));"#,
        ),
    )],
    argv: &["/abi/only32"],
    says: Some(
        "getpid 1\ngetuid32 0\nsocketcall 3\nmmap2 7\nfstat64 0\n_llseek -9\nclock_gettime64 0\nwaitpid -10\n\
           time 1\nugetrlimit 0\nbreak -38\n",
    ),
    native: Some(&[]),
    other: (
        Abi::I386,
        &[
            "_llseek",
            "break",
            "clock_gettime64",
            "exit_group",
            "fstat64",
            "getpid",
            "getuid32",
            "mmap2",
            "socketcall",
            "time",
            "ugetrlimit",
            "waitpid",
            "write",
        ],
    ),
    needs: "socketcall",
};

/// A 64-bit program that uses `int $0x80`. 65 is getpgrp there and semop here, 120 is clone there and getresgid here.
pub const COMPAT: Subject = Subject {
    programs: &[(
        "compat",
        Source::Bare(
            r#"static int unix_stream[3] = {1, 1, 0};
            say("getppid", call(110, 0, 0, 0));
            say("socketcall", call_32(102, 1, (long)unix_stream, 0));
            say("getpgrp", call_32(65, 0, 0, 0));
            say("sgetmask", call_32(68, 0, 0, 0));
            say("getresgid", call(120, (long)unix_stream, (long)unix_stream, (long)unix_stream));"#,
        ),
    )],
    argv: &["/abi/compat"],
    says: Some("getppid 0\nsocketcall 3\ngetpgrp 1\nsgetmask 0\ngetresgid 0\n"),
    native: Some(&["exit_group", "getppid", "getresgid", "write"]),
    other: (Abi::I386, &["getpgrp", "sgetmask", "socketcall"]),
    needs: "sgetmask",
};

/// A 64-bit shell starts a 32-bit program, which forks and becomes a 64-bit one with threads, one of which makes 32-bit calls.
pub const MIXED: Subject = Subject {
    programs: &[
        (
            "outer32",
            Source::Bare32(
                r#"static char *argv[] = {"/abi/inner64", 0};
                long child = call(2, 0, 0, 0);
                if (!child) {
                    call(11, (long)argv[0], (long)argv, 0);
                    call(__NR_exit_group, 9, 0, 0);
                }
                int status = -1;
                say("waited", call(7, child, (long)&status, 0) == child);
                say("status", status);"#,
            ),
        ),
        (
            "inner64",
            Source::Libc(
                r#"#define _GNU_SOURCE
                #include <pthread.h>
                #include <stdio.h>
                #include <sys/syscall.h>
                #include <sys/wait.h>
                #include <unistd.h>
                static long compat(long number) {
                    int result;
                    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0L), "c"(0L), "d"(0L)
                                     : "r8", "r9", "r10", "r11", "memory");
                    return result;
                }
                static void *thread(void *is_compat) {
                    long sum = 0;
                    for (int i = 0; i < 1000; i++) sum += is_compat ? compat(68) : syscall(SYS_sched_get_priority_max, 1);
                    return (void *)sum;
                }
                int main(void) {
                    pthread_t one, two;
                    void *first, *second;
                    int status;
                    pthread_create(&one, 0, thread, 0);
                    pthread_create(&two, 0, thread, "compat");
                    pthread_join(one, &first);
                    pthread_join(two, &second);
                    if (!fork()) _exit(compat(199));
                    wait(&status);
                    printf("threads %ld %ld\nfork %d\n", (long)first, (long)second, status);
                    return 0;
                }"#,
            ),
        ),
    ],
    argv: &["sh", "-c", "echo start; /abi/outer32; echo end"],
    says: Some("start\nthreads 99000 0\nfork 0\nwaited 1\nstatus 0\nend\n"),
    native: None,
    other: (Abi::I386, &["execve", "exit_group", "fork", "getuid32", "sgetmask", "waitpid", "write"]),
    needs: "waitpid",
};

/// x32's numbers, its own 512–547 among them. Where the kernel has no x32, it answers ENOSYS to what the filter lets pass.
pub const X32: Subject = Subject {
    programs: &[(
        "x32",
        Source::Bare(
            r#"long base = call(0x40000000 | 102, 0, 0, 0);
            if (base != -38) base = 0;
            say("getuid", base);
            say("sched_get_priority_max", call(0x40000000 | 146, 0, 0, 0) - base);
            say("ioctl", call(0x40000000 | 514, -1, 0, 0) == (base ? base : -9));
            say("pwritev2", call(0x40000000 | 547, -1, 0, 0) == (base ? base : -9));"#,
        ),
    )],
    argv: &["/abi/x32"],
    says: None,
    native: Some(&["exit_group", "write"]),
    other: (Abi::X32, &["getuid", "ioctl", "pwritev2", "sched_get_priority_max"]),
    needs: "sched_get_priority_max",
};
