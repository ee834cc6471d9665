//! `run`: from COMMAND's first call on, all that it and its descendants call, and nothing else.

use crate::{
    common::{TestEnv, allowed, architectures, bare, expect, names, set, with_libc},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use seccomp_trace::{
    abi::Abi,
    recording::{BoundaryMethod, Origin},
    tables::always::ALWAYS,
};
use std::collections::BTreeSet;

/// Calls that no shell makes.
const RARE: &str = "call(__NR_sched_get_priority_max, 0, 0, 0); call(__NR_getitimer, 0, 0, 0);";

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("exactly_the_calls_of_a_program_are_recorded", needs, exact),
        support::test("daemons_and_double_forks_are_traced", needs, || {
            let case = TestEnv::new()?;
            let program = bare(&case, "rare", RARE)?;
            let daemon = format!("(setsid sh -c 'sleep 0.2; {program}' >/dev/null 2>&1 &) &");
            expect(&case.run(&["--wait-all"], &["sh", "-c", &daemon])?, 0, &[])?;
            contains_rare(&case)
        }),
        support::test("cgroups_that_the_command_makes_are_traced_and_removed", needs, nested),
        support::test("threads_are_traced", needs, threads),
        support::test("a_program_that_starts_another_has_its_execve", &[Need::Kernel], || {
            let case = TestEnv::new()?;
            expect(
                &case.run(&["--runtimes", "exact"], &["sh", "-c", "true; /bin/true; exec /bin/true"])?,
                0,
                &[],
            )?;
            let seen = application(&case)?;
            ensure!(seen.is_superset(&set(["execve", "wait4"])), "{seen:?}");
            Ok(())
        }),
    ]
}

fn application(case: &TestEnv) -> Result<BTreeSet<String>> {
    Ok(names(&case.recording()?, native()?, Origin::Application))
}

fn native() -> Result<Abi> {
    let machine = rustix::system::uname();
    let abis = Abi::of_machine(&machine.machine().to_string_lossy());
    abis.and_then(|abis| abis.first().copied()).ok_or_else(|| anyhow::anyhow!("an unknown machine"))
}

fn contains_rare(case: &TestEnv) -> Result<()> {
    let seen = application(case)?;
    ensure!(seen.is_superset(&set(["sched_get_priority_max", "getitimer"])), "{seen:?}");
    Ok(())
}

/// Nothing of ours before its exec (write, setgid, setuid, setgroups), nothing missed, nothing from elsewhere.
fn exact() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "rare", RARE)?;
    let expected = set(["sched_get_priority_max", "getitimer", "exit_group"]);
    for user in [&[][..], &["--user", "12345:77"]] {
        let options = [&["--runtimes", "exact"], user].concat();
        expect(&case.run(&options, &[&program])?, 0, &[])?;
        let recording = case.recording()?;
        ensure!(recording.boundary.method == BoundaryMethod::Exec && !recording.boundary.attached_late);
        ensure!(recording.finished && !recording.is_incomplete());
        ensure!(recording.syscalls.keys().eq([&native()?]), "{:?}", recording.syscalls);
        let seen = application(&case)?;
        ensure!(seen == expected, "{seen:?}");
        ensure!(recording.syscalls.values().flatten().all(|call| call.comm.as_deref() == Some("rare")));
        let profile = case.profile()?;
        let always =
            ALWAYS.iter().map(|always| always.name).filter(|name| native().unwrap().number(name).is_some());
        let expected: BTreeSet<_> = expected.union(&set(always)).cloned().collect();
        ensure!(allowed(&profile) == expected, "{profile}");
        ensure!(architectures(&profile) == set([native()?.seccomp_arch()]), "{profile}");
    }
    // By default a container can be started under it.
    expect(&case.run(&[], &[&program])?, 0, &[])?;
    let with_runtimes = allowed(&case.profile()?);
    ensure!(
        with_runtimes.is_superset(&set(["capset", "setgroups", "statx", "setresgid"])),
        "{with_runtimes:?}"
    );
    Ok(())
}

/// A program may move itself and others into cgroups of its own, as systemd does.
fn nested() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "rare", RARE)?;
    let script = format!(
        "own={}/$(basename $(sed -n s/^0:://p /proc/self/cgroup))
         mkdir -p $own/one/two && echo 0 >$own/one/two/cgroup.procs && {program} && sed -n s/^0:://p /proc/self/cgroup",
        case.home.directory().display()
    );
    let output = case.run(&["--runtimes", "exact"], &["sh", "-c", &script])?;
    expect(&output, 0, &[])?;
    let place = String::from_utf8(output.stdout)?;
    ensure!(place.trim_end().ends_with("/one/two"), "{place}");
    contains_rare(&case)
}

/// The last thread's call comes after the process's first thread is gone.
const THREADS: &str = r"
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
static pthread_t first, other;
static void *second(void *unused) {
    pthread_join(first, 0);
    syscall(SYS_getitimer, 0, 0);
    return unused;
}
int main(void) {
    first = pthread_self();
    pthread_create(&other, 0, second, 0);
    pthread_exit(0);
}
";

fn threads() -> Result<()> {
    let case = TestEnv::new()?;
    let program = with_libc(&case, "threads", THREADS)?;
    expect(&case.run(&["--runtimes", "exact"], &[&program])?, 0, &[])?;
    let seen = application(&case)?;
    ensure!(seen.contains("getitimer"), "{seen:?}");
    Ok(())
}
