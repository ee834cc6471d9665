//! A program whose calls are known exactly: those that it is told. Each of several participants makes one call that
//! nobody else makes, so a recording shows for whom each was taken.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::abi::Abi;
use seccomp_trace::recording::{Origin, Recording};
use seccomp_trace::tables::{always::ALWAYS, runtimes};

use crate::container_matrix::command;
use crate::recorder::{PATIENCE, calls};

/// Without a C library, each of its words is a step: a number is that call, with zeros; `filter` loads an allow-all
/// filter by seccomp, `old-filter` by prctl, `root-filter` without no-new-privileges; `fork` goes on in a child, whose parent waits and ends; `wait` pauses
/// for ever; `read` reads its input to the end, as a hook must; `exec` becomes what follows.
const SOURCE: &str = r#"
#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
static long call(long number, long a, long b, long c) {
    long result;
    register long d __asm__("r10") = 0;
    register long e __asm__("r8") = 0;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(d), "r"(e) : "rcx", "r11", "memory");
    return result;
}
static int is(const char *a, const char *b) {
    while (*a && *a == *b) { a++; b++; }
    return *a == *b;
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall start\n");
void start(long *stack) {
    struct sock_filter allow = { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW };
    struct sock_fprog program = { 1, &allow };
    char **words = (char **)(stack + 2);
    char buffer[512];
    long status = 0;
    for (long i = 0; i < stack[0] - 1; i++) {
        long number = 0;
        if (is(words[i], "filter")) {
            call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0);
            status |= call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program);
        } else if (is(words[i], "root-filter")) {
            status |= call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program);
        } else if (is(words[i], "old-filter")) {
            call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0);
            status |= call(__NR_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (long)&program);
        } else if (is(words[i], "exec")) {
            call(__NR_execve, (long)words[i + 1], (long)(words + i + 1), 0);
            status = 1;
        } else if (is(words[i], "fork")) {
            if (call(__NR_fork, 0, 0, 0)) {
                call(__NR_wait4, -1, 0, 0);
                call(__NR_exit_group, 0, 0, 0);
            }
        } else if (is(words[i], "read")) {
            while (call(__NR_read, 0, (long)buffer, sizeof buffer) > 0) {}
        } else if (is(words[i], "wait")) {
            for (;;) call(__NR_pause, 0, 0, 0);
        } else {
            for (char *digit = words[i]; *digit; digit++) number = number * 10 + *digit - '0';
            call(number, 0, 0, 0);
        }
    }
    call(__NR_exit_group, status != 0, 0, 0);
    for (;;) {}
}
"#;

/// Calls that neither a runtime nor a shell makes, each with its number.
pub const MARKERS: [(&str, u32); 9] = [
    ("getpriority", 140),
    ("getitimer", 36),
    ("sched_getparam", 143),
    ("sched_getscheduler", 145),
    ("sched_get_priority_max", 146),
    ("sched_get_priority_min", 147),
    ("sched_rr_get_interval", 148),
    ("getsid", 124),
    ("times", 100),
];

/// The word for a marker.
pub fn word(name: &str) -> Result<String> {
    let found = MARKERS.iter().find(|(marker, _)| *marker == name);
    found.map(|(_, number)| number.to_string()).with_context(|| format!("{name} is no marker"))
}

/// Compiles the program.
pub fn compile(place: &Path) -> Result<()> {
    let source = place.with_extension("c");
    fs::write(&source, SOURCE)?;
    let options = ["-O1", "-static", "-no-pie", "-nostdlib", "-ffreestanding", "-fno-stack-protector"];
    let mut cc = Command::new("cc");
    command::output(cc.args(options).arg("-o").arg(place).arg(&source), PATIENCE).map(drop)
}

/// Each call of the application is one of these, and the other way round.
pub fn ensure_application_is(recording: &Recording, expected: &[&str]) -> Result<()> {
    let seen = calls(recording, Some(Origin::Application));
    let expected: BTreeSet<_> = expected.iter().copied().collect();
    ensure!(seen == expected, "the application: {seen:?}, and not {expected:?}");
    Ok(())
}

/// Who made the marker.
pub fn origins(recording: &Recording, marker: &str) -> Vec<Origin> {
    let all = recording.syscalls.get(&Abi::X86_64).into_iter().flatten();
    all.filter(|call| call.name.as_deref() == Some(marker)).flat_map(|call| call.origins.clone()).collect()
}

/// All that the runtime called after its filter is in the measured sets, but for `also`.
pub fn ensure_runtime_is_measured(recording: &Recording, runtime: &str, also: &[&str]) -> Result<()> {
    let sets = runtimes::sets().iter().filter(|set| set.runtime == runtime);
    let mut known: BTreeSet<&str> = sets.flat_map(|set| set.calls.keys().map(String::as_str)).collect();
    known.extend(ALWAYS.iter().map(|always| always.name));
    known.extend(also);
    let seen = calls(recording, Some(Origin::Runtime));
    let unknown: Vec<_> = seen.difference(&known).collect();
    ensure!(unknown.is_empty(), "{runtime} is not known to call {unknown:?}");
    Ok(())
}
