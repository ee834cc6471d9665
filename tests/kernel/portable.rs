//! `--portable`: a profile of one program starts another build of it, which makes other calls for the same.

use crate::{
    common::{Cgroup, LIMIT, TestEnv, bundle, expect, names, static_with_libc},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use seccomp_trace::{abi::Abi, recording::Origin};
use serde_json::{Value, json};
use std::process::Command;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc, Need::Runc];
    vec![support::test("a_portable_profile_runs_a_build_that_makes_other_calls", needs, other_build)]
}

/// As a current glibc does it; with OTHER as musl, older ones, newer ones, and machines without a vDSO do. Prints what fails.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define CHECK(name, call) if ((call) < 0) printf("%s ", name)
static char bytes[512];
static int ends[2];
static struct timespec moment;
int main(void) {
    long child;
#ifdef OTHER
    struct open_how how = { .flags = O_RDONLY };
    struct clone_args fork = { .exit_signal = SIGCHLD };
    struct iovec part = { bytes, 1 };
    CHECK("open", syscall(SYS_open, "/", O_RDONLY));
    CHECK("openat2", syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how));
    CHECK("stat", syscall(SYS_stat, "/", bytes));
    CHECK("statx", syscall(SYS_statx, AT_FDCWD, "/", 0, STATX_BASIC_STATS, bytes));
    CHECK("faccessat", syscall(SYS_faccessat, AT_FDCWD, "/", F_OK));
    CHECK("pipe", syscall(SYS_pipe, ends));
    CHECK("writev", syscall(SYS_writev, ends[1], &part, 1));
    CHECK("readv", syscall(SYS_readv, ends[0], &part, 1));
    CHECK("ppoll", syscall(SYS_ppoll, 0, 0, &moment, 0, 8));
    CHECK("clock_gettime", syscall(SYS_clock_gettime, CLOCK_REALTIME, &moment));
    CHECK("gettimeofday", syscall(SYS_gettimeofday, bytes, 0));
    CHECK("tkill", syscall(SYS_tkill, getpid(), 0));
    CHECK("clone3", child = syscall(SYS_clone3, &fork, sizeof fork));
#else
    struct timeval now;
    struct stat state;
    CHECK("openat", syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY));
    CHECK("newfstatat", syscall(SYS_newfstatat, AT_FDCWD, "/", &state, 0));
    CHECK("access", syscall(SYS_access, "/", F_OK));
    CHECK("pipe2", pipe2(ends, 0));
    CHECK("write", write(ends[1], bytes, 1));
    CHECK("read", read(ends[0], bytes, 1));
    CHECK("poll", poll(0, 0, 0));
    CHECK("clock_gettime", clock_gettime(CLOCK_REALTIME, &moment));
    CHECK("gettimeofday", gettimeofday(&now, 0));
    CHECK("fork", child = fork());
#endif
    if (child == 0) _exit(0);
    if (child > 0) CHECK("wait4", wait4(child, 0, 0, 0));
    puts("done");
    return 0;
}
"#;

fn other_build() -> Result<()> {
    let case = TestEnv::new()?;
    let recorded = static_with_libc(&case, "recorded", SOURCE)?;
    let other = static_with_libc(&case, "other", &format!("#define OTHER\n{SOURCE}"))?;
    let cgroup = Cgroup::named()?;
    // Without a profile all of it works here.
    let output = support::run_with_timeout(&mut Command::new(&other), LIMIT)?;
    ensure!(output.stdout == b"done\n", "{output:?}");
    let start = |options: &[&str]| -> Result<String> {
        // openat2 and statx are in other runtimes' starts.
        let output = case.run(&[&["--runtimes", "runc-1.1.5"], options].concat(), &[&recorded])?;
        expect(&output, 0, &[])?;
        let mut profile = case.profile()?;
        // Whatever the version here.
        let version_here = ["close_range", "openat2", "statx", "tgkill"];
        profile["syscalls"]
            .as_array_mut()
            .into_iter()
            .flatten()
            .for_each(|rule| add(rule, &version_here[..]));
        let (name, root) = (cgroup.path.trim_start_matches('/'), case.file("bundle/rootfs/other"));
        bundle(&case, &other, json!({}), profile, &cgroup.path)?;
        let mut runc = Command::new("runc");
        let output = support::run_with_timeout(runc.args(["run", "-b", &case.file("bundle"), name]), LIMIT)?;
        std::fs::rename(root, &other)?;
        expect(&output, 0, &[])?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let without = start(&[])?;
    // Where the vDSO has no clock that it can use, as in a virtual machine, the recorded build makes its calls, too.
    let seen = names(&case.recording()?, Abi::X86_64, Origin::Application);
    let denied = "open stat faccessat pipe writev readv ppoll clock_gettime gettimeofday tkill clone3";
    let of_vdso = |name: &str| name.ends_with("time") || name.ends_with("timeofday");
    let denied = denied.split(' ').filter(|name| !(of_vdso(name) && seen.contains(*name)));
    ensure!(without.split_whitespace().eq(denied.chain(["done"])), "{without}");
    let with = start(&["--portable"])?;
    ensure!(with == "done\n", "{with}");
    Ok(())
}

fn add(rule: &mut Value, names: &[&str]) {
    if rule["action"] == "SCMP_ACT_ALLOW"
        && let Some(all) = rule["names"].as_array_mut()
    {
        all.extend(names.iter().map(|name| Value::from(*name)));
    }
}
