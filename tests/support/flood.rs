//! A program that makes every harmless number of all ABIs that a program can call by, as fast as it can, in many processes and threads.

use super::{compile, safe_syscalls};
use anyhow::Result;
use seccomp_trace::abi::Abi;
use seccomp_trace_common::{HIGH_NUMBERS_PER_SLOT, NUMBERS};
use std::collections::BTreeSet;
use std::path::Path;

/// `flood PROCESSES SECONDS [CGROUP.PROCS]`: moves into the cgroup; so many processes of two threads each then make
/// all the calls over and over for so long, and at least once. With 0 seconds each does so once. Says `done`.
const MAIN: &str = r#"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static double seconds;

static void *worker(void *unused) {
    struct timespec start, now;
    tighten();
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (unsigned i = 0; i < sizeof CALLS / sizeof *CALLS; i++) make(CALLS[i].abi, CALLS[i].number);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
    return unused;
}

int main(int argc, char **argv) {
    int count = atoi(argv[1]), failed = 0, status;
    seconds = atof(argv[2]);
    if (argc > 3) {
        int file = open(argv[3], O_WRONLY);
        if (file < 0 || write(file, "0", 1) != 1) return 1;
        close(file);
    }
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (child < 0) return 2;
        if (child == 0) {
            pthread_t thread;
            if (pthread_create(&thread, 0, worker, 0)) _exit(6);
            worker(0);
            pthread_join(thread, 0);
            _exit(0);
        }
    }
    while (count--) {
        wait(&status);
        failed |= status;
    }
    puts(failed ? "failed" : "done");
    return failed != 0;
}
"#;

/// Which numbers it makes beyond the sets: `extra` more than one recording can keep.
pub fn calls(extra: u32) -> BTreeSet<(Abi, u32)> {
    let end = NUMBERS as u32;
    let abis = safe_syscalls::CALLABLE.iter().copied();
    let mut calls: BTreeSet<_> = abis
        .clone()
        .flat_map(|abi| safe_syscalls::numbers(abi, end).map(move |number| (abi, number)))
        .collect();
    // The same share each.
    let mut left = HIGH_NUMBERS_PER_SLOT + extra;
    for (abi, others) in abis.zip((1..=safe_syscalls::CALLABLE.len() as u32).rev()) {
        let beyond = (end..).filter(|number| safe_syscalls::is_safe(abi, *number));
        calls.extend(beyond.take((left / others) as usize).map(|number| (abi, number)));
        left -= left / others;
    }
    calls
}

/// Compiles it into a folder, statically; returns its path.
pub fn program(folder: &Path, name: &str, calls: &BTreeSet<(Abi, u32)>) -> Result<String> {
    let source = safe_syscalls::c_source(calls.iter().copied());
    compile::static_with_libc(
        folder,
        name,
        &format!("#define _GNU_SOURCE\n{source}{}{MAIN}", safe_syscalls::TIGHTEN),
    )
}
