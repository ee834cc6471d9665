//! A program in a named cgroup, with no runtime, that loads a filter of its own: all its calls are its own.

use crate::{
    common::{Cgroup, LIMIT, NATIVE, Recorder, TestEnv, bare, expect, names, set},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use seccomp_trace::recording::{BoundaryMethod, Origin};
use std::process::Command;

/// An allow-all filter, by root.
const FILTER: &str =
    "struct { unsigned short code; unsigned char jt, jf; unsigned k; } allow = { 6, 0, 0, 0x7fff0000 };
    struct { unsigned short len; void *filter; } program = { 1, &allow };
    call(__NR_seccomp, 1, 0, (long)&program);";

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![support::test("a_filter_of_its_own_in_a_named_cgroup", needs, recorded)]
}

/// It makes a call, loads the filter, makes another one, and its child becomes a program that makes one.
fn recorded() -> Result<()> {
    for turn in 0..support::many(60).min(10) {
        let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
        let second = bare(&case, "second", "call(__NR_times, 0, 0, 0);")?;
        let body = format!(
            "call(__NR_getpriority, 0, 0, 0);
            {FILTER}
            call(__NR_getitimer, 0, 0, 0);
            if (!call(__NR_clone, 17, 0, 0)) {{
                char *words[] = {{ \"second\", 0 }};
                call(__NR_execve, (long)\"{second}\", (long)words, 0);
            }}
            call(__NR_wait4, -1, 0, 0);"
        );
        let first = bare(&case, "first", &body)?;
        let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo 0 >$0/cgroup.procs && exec $1"]);
        shell.arg(cgroup.directory()).arg(&first);
        expect(&support::run_with_timeout(&mut shell, LIMIT)?, 0, &[])?;
        expect(&recorder.interrupt()?, 0, &[])?;
        let recording = case.recording()?;
        ensure!(
            recording.boundary.method == BoundaryMethod::Estimated,
            "turn {turn}: {:?}",
            recording.boundary
        );
        let seen = names(&recording, NATIVE, Origin::Application);
        let expected =
            ["getpriority", "seccomp", "getitimer", "clone", "execve", "times", "wait4", "exit_group"];
        ensure!(seen == set(expected), "turn {turn}: {seen:?}");
    }
    Ok(())
}
