//! Who leaves its cgroup is recorded on, wherever it goes: a thread keeps its filters.

use crate::{
    common::{Cgroup, NATIVE, Recorder, TestEnv, eventually, expect, names, set, with_libc},
    support::{self, Need, Running, Trial},
};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{Lost, Origin, Recording};
use std::{fs, process::Command};

/// What each program can do: move itself, wait for a file, and make one call that nothing else makes.
const STEPS: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static void fail(const char *what) { perror(what); exit(1); }
static void move(const char *cgroup) {
    char path[512];
    snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    int file = open(path, O_WRONLY);
    if (file < 0 || write(file, "0", 1) != 1) fail(path);
    close(file);
}
static void until(const char *file) { while (access(file, F_OK)) usleep(5000); }
static void say(const char *file) { close(open(file, O_CREAT | O_WRONLY, 0644)); }
static int born_in(const char *cgroup) {
    struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
    args.cgroup = open(cgroup, O_RDONLY | O_DIRECTORY);
    long child = syscall(SYS_clone3, &args, sizeof args);
    if (child < 0) fail("clone3");
    return child;
}
"#;

/// What is held until the test lets it go on, and tells its end: all of its calls are made then.
const HELD: &str = r#"
__attribute__((constructor)) static void held(void) { say("up"); until("go"); }
__attribute__((destructor)) static void ended(void) { say("ended"); }
"#;

/// By itself, and a child that executes something with it.
const ITSELF: &str = r#"
int main(int argc, char **argv) {
    if (argc == 3) { syscall(SYS_getpriority, 0, 0); return 0; }
    move(argv[1]);
    syscall(SYS_getitimer, 0, 0);
    if (fork() == 0) execl(argv[0], argv[0], argv[1], "again", NULL);
    wait(0);
    return 0;
}
"#;

/// By a thread, after the first one has ended.
const WITHOUT_LEADER: &str = r#"
static char **arguments;
static void *other(void *ignored) {
    usleep(50000);
    move(arguments[1]);
    syscall(SYS_getitimer, 0, 0);
    syscall(SYS_getpriority, 0, 0);
    exit(0);
}
int main(int argc, char **argv) {
    pthread_t thread;
    arguments = argv;
    pthread_create(&thread, 0, other, 0);
    pthread_exit(0);
}
"#;

/// By birth.
const BORN: &str = r#"
int main(int argc, char **argv) {
    if (born_in(argv[1]) == 0) { syscall(SYS_getitimer, 0, 0); syscall(SYS_getpriority, 0, 0); _exit(0); }
    wait(0);
    return 0;
}
"#;

/// By a thread, alone, into a cgroup below its own.
const BY_THREADS: &str = r#"
static char below[1024];
static void *other(void *ignored) {
    char path[1100];
    snprintf(path, sizeof path, "%s/cgroup.threads", below);
    int file = open(path, O_WRONLY);
    if (file < 0 || write(file, "0", 1) != 1) fail(path);
    syscall(SYS_getitimer, 0, 0);
    syscall(SYS_getpriority, 0, 0);
    return 0;
}
int main(int argc, char **argv) {
    char line[512], type[1100];
    FILE *own = fopen("/proc/self/cgroup", "r");
    while (fgets(line, sizeof line, own) && strncmp(line, "0::", 3));
    line[strcspn(line, "\n")] = 0;
    snprintf(below, sizeof below, "%s%s/threads", argv[1], line + 3);
    if (mkdir(below, 0755)) fail(below);
    snprintf(type, sizeof type, "%s/cgroup.type", below);
    int file = open(type, O_WRONLY);
    if (file < 0 || write(file, "threaded", 8) != 8) fail(type);
    pthread_t thread;
    pthread_create(&thread, 0, other, 0);
    return pthread_join(thread, 0);
}
"#;

/// By a process that its parent does not wait for.
const OUTLIVED: &str = r#"
int main(int argc, char **argv) {
    if (argc == 3) { close(0); close(1); close(2); sleep(5); return 0; }
    move(argv[1]);
    syscall(SYS_getitimer, 0, 0);
    syscall(SYS_getpriority, 0, 0);
    if (fork() == 0) execl(argv[0], "outlived", argv[1], "again", NULL);
    usleep(200000);
    return 0;
}
"#;

/// By the last one of more processes than can be followed.
const CROWD: &str = r#"
#include <sys/prctl.h>
int main(int argc, char **argv) {
    int told[2];
    char byte;
    if (pipe(told)) fail("pipe");
    for (int number = 0; number < 16500; number++) {
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (child) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (number == 16499) {
            move(argv[1]);
            syscall(SYS_getitimer, 0, 0);
            if (write(told[1], "", 1) != 1) fail("write");
        }
        for (;;) pause();
    }
    return read(told[0], &byte, 1) != 1;
}
"#;

/// Into a named cgroup, out of it, and on while the cgroup is gone.
const THROUGH: &str = r#"
int main(int argc, char **argv) {
    move(argv[2]);
    syscall(SYS_getsid, 0);
    move(argv[1]);
    say("left");
    until("go");
    syscall(SYS_getitimer, 0, 0);
    if (fork() == 0) { syscall(SYS_getpriority, 0, 0); _exit(0); }
    wait(0);
    say("done");
    until("end");
    return 0;
}
"#;

/// Somebody else, who gets there and makes a call that none of these programs makes.
const STRANGER: &str = r#"
int main(int argc, char **argv) { move(argv[1]); for (;;) { syscall(SYS_sched_getscheduler, 0); usleep(1000); } }
"#;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("a_command_that_leaves_its_cgroup_is_recorded_on", needs, || left(ITSELF, LEFT)),
        support::test("a_thread_that_leaves_after_its_leader_ended_is_recorded_on", needs, || {
            left(WITHOUT_LEADER, LEFT)
        }),
        support::test("a_child_that_is_born_elsewhere_is_recorded", needs, || left(BORN, LEFT)),
        support::test("a_thread_in_a_cgroup_below_is_recorded_on", needs, || left(BY_THREADS, &[])),
        support::test("a_command_that_leaves_while_the_tracer_sleeps_is_recorded", needs, || {
            [ITSELF, WITHOUT_LEADER, BORN].into_iter().try_for_each(slept)
        }),
        support::test("who_outlives_a_command_outside_of_its_cgroup_is_named", needs, || {
            left(OUTLIVED, &["live on outside of its cgroup (1: ", "whose further calls are not"])
        }),
        support::exclusive("who_leaves_of_more_than_can_be_followed_is_told", needs, || crowd(CROWD))
            .only_in_full(),
        support::exclusive("who_is_born_elsewhere_to_more_than_can_be_followed_is_told", needs, || {
            crowd(&CROWD.replacen(
                "move(argv[1]);",
                "if (born_in(argv[1])) for (;;) pause(); prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);",
                1,
            ))
        })
        .only_in_full(),
        support::test("who_leaves_a_cgroup_that_is_removed_then_is_recorded_on", needs, || through(true)),
        support::test("who_leaves_a_cgroup_and_comes_back_is_recorded_on", needs, || through(false)),
    ]
}

/// `run` where the command has ended well and the recording is no good.
const FAILED: i32 = 125;
const LEFT: &[&str] = &["processes of it left its cgroup (1: program)"];

/// `run` of a program that gets into the root of the hierarchy. Another one there is none of its own.
fn left(body: &str, said: &[&str]) -> Result<()> {
    let leaving = Leaving::new(body)?;
    leaving.ensure_recorded(leaving.start()?, said)
}

/// The same while the tracer is stopped.
fn slept(body: &str) -> Result<()> {
    let leaving = Leaving::new(&format!("{HELD}{body}"))?;
    let running = leaving.start()?;
    until_there_is(&leaving.case, "up")?;
    running.signal(Signal::STOP)?;
    fs::write(leaving.case.file("go"), "")?;
    until_there_is(&leaving.case, "ended")?;
    running.signal(Signal::CONT)?;
    leaving.ensure_recorded(running, LEFT)
}

/// A program that gets into the root of the hierarchy, and another one there.
struct Leaving {
    case: TestEnv,
    program: String,
    _beside: Running,
}

impl Leaving {
    fn new(body: &str) -> Result<Self> {
        let case = TestEnv::new()?;
        let program = with_libc(&case, "program", &format!("{STEPS}{body}"))?;
        let stranger = with_libc(&case, "stranger", &format!("{STEPS}{STRANGER}"))?;
        let beside = Running::start(Command::new(stranger).arg(case.home.root()))?;
        Ok(Self { case, program, _beside: beside })
    }

    fn start(&self) -> Result<Running> {
        self.case.start(&[], &[&self.program, &self.case.home.root().display().to_string()])
    }

    /// All that it did is recorded, and nothing of the other's.
    fn ensure_recorded(&self, running: Running, said: &[&str]) -> Result<()> {
        expect(&self.case.finish(running)?, 0, said)?;
        let seen = application(&self.case.recording()?)?;
        ensure!(seen.is_superset(&set(["getitimer", "getpriority"])), "{seen:?}");
        ensure!(!seen.contains("sched_getscheduler"), "a stranger's calls are in it");
        Ok(())
    }
}

fn until_there_is(case: &TestEnv, name: &str) -> Result<()> {
    let file = case.file(name);
    eventually(name, || fs::metadata(&file).ok()).map(drop)
}

fn crowd(body: &str) -> Result<()> {
    let case = TestEnv::new()?;
    let program = with_libc(&case, "program", &format!("{STEPS}{body}"))?;
    let root = case.home.root().display().to_string();
    let output = case.run(&[], &[&program, &root])?;
    expect(
        &output,
        FAILED,
        &["processes of it found no room to be followed", "the recording is incomplete"],
    )?;
    ensure!(case.recording()?.lost.syscalls > 0, "nothing is lost");
    Ok(())
}

fn application(recording: &Recording) -> Result<std::collections::BTreeSet<String>> {
    ensure!(recording.lost == Lost::default(), "{:?}", recording.lost);
    Ok(names(recording, NATIVE, Origin::Application))
}

/// `record` of a cgroup, of which a task gets out.
fn through(is_removed: bool) -> Result<()> {
    let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
    let body = if is_removed {
        THROUGH.to_owned()
    } else {
        THROUGH.replacen(r#"until("go");"#, r#"until("go"); move(argv[2]);"#, 1)
    };
    let program = with_libc(&case, "program", &format!("{STEPS}{body}"))?;
    let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
    let mut command = Command::new(program);
    command.arg(cgroup.root()).arg(cgroup.directory()).current_dir(case.folder.path());
    let running = Running::start(&mut command)?;
    until_there_is(&case, "left")?;
    if is_removed {
        fs::remove_dir(cgroup.directory())?;
    }
    fs::write(case.file("go"), "")?;
    until_there_is(&case, "done")?;
    let said: &[&str] = if is_removed { &["processes of it outlive it (1: program)"] } else { &[] };
    expect(&recorder.interrupt()?, 0, said)?;
    fs::write(case.file("end"), "")?;
    running.finish(crate::common::LIMIT)?;
    let seen = application(&case.recording()?)?;
    ensure!(seen.is_superset(&set(["getsid", "getitimer", "getpriority"])), "{seen:?}");
    Ok(())
}
