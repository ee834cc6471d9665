//! Somebody moves into a container's cgroup while it starts: at any instant between its making and the application's exec he is no
//! part of the container, whatever he does, and the container's own first process is not taken for one that joined.

use std::process::Command;

use anyhow::{Result, ensure};
use seccomp_trace::inspect::cgroup::Hierarchy;
use seccomp_trace::recording::{BoundaryMethod, Lost, Origin, Recording};

use crate::container_matrix::command;
use crate::container_matrix::container::unused_name;
use crate::recorder::{Container, IMAGE, PATIENCE, Recorder, calls, docker, ensure_calls, image};
use crate::support::{self, Need, Running, Trial, compile};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Cc];
/// In the full tier.
const INSTANTS: usize = 50;
/// From the cgroup's making on: runc has executed the application a quarter of a second later on a slow machine.
const STEP_MICROSECONDS: usize = 4000;

/// The kinds of strangers: by bit 0 with a root of his own, by bit 1 with a filter, and by bit 2 he gets them once he has come. No
/// runtime comes with both.
const NO_RUNTIME: usize = 3;
/// Who gets one of them then looks like the application.
const PLAYS_IT: usize = 4;
const KINDS: usize = 7;

/// `PARENT ID MICROSECONDS KIND`: waits for the cgroup, then so long, moves in, makes calls, and executes itself.
const STRANGER: &str = r#"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}
static int fail(const char *what) { perror(what); return 1; }
int main(int count, char **words) {
    if (count == 2) { syscall(SYS_getpriority, 0, 0); usleep(100000); return 0; }
    int parent = open(words[1], O_RDONLY | O_DIRECTORY), self = open("/proc/self/exe", O_RDONLY), file;
    int kind = atoi(words[4]);
    void become(void) {
        struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog all = {1, &allow};
        if (kind & 1 && (chdir("/tmp") || chroot("/tmp"))) exit(fail("chroot"));
        if (kind & 2 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all)) exit(fail("seccomp"));
    }
    char path[256], *again[] = {"stranger", "again", 0}, *none[] = {0};
    if (parent < 0 || self < 0) return fail("open");
    if (!(kind & 4)) become();
    snprintf(path, sizeof path, "%s/cgroup.procs", words[2]);
    while ((file = openat(parent, path, O_WRONLY)) < 0);
    for (long end = now() + atol(words[3]); now() < end;);
    if (write(file, "0", 1) != 1) return fail("it was gone");
    if (kind & 4) become();
    syscall(SYS_getitimer, 0, 0);
    syscall(SYS_execveat, self, "", again, none, 0x1000);
    return fail("execveat");
}
"#;

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_keeps_out_who_comes_while_it_starts", NEEDS, || instants(&[], is_unharmed)),
        support::test("record_names_who_comes_while_one_in_the_hosts_namespace_starts", NEEDS, || {
            instants(&["--pid=host"], |recording, _| is_whole(recording))
        })
        .only_in_full(),
    ]
}

type Check = fn(&Recording, usize) -> Result<()>;

fn instants(options: &[&str], check: Check) -> Result<()> {
    let folder = support::temp_dir()?;
    compile::static_with_libc(folder.path(), "stranger", STRANGER)?;
    let profile = folder.path().join("tracing.json");
    std::fs::write(&profile, command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    let parent = Hierarchy::find()?.directory("/docker");
    image()?;
    let (prefix, turns) = (unused_name("instant"), support::turns(INSTANTS));
    let glob = format!("{prefix}-*");
    let mut recorder =
        Recorder::ready(&["--wait", "--container", &glob, "--recording-dir", "{}", "--allow-incomplete"])?;
    let mut containers = Vec::new();
    for turn in 0..turns {
        let container = Container { name: format!("{prefix}-{turn}") };
        let security = format!("--security-opt=seccomp={}", profile.display());
        let words = ["create", "--network=none", &security, "--name", &container.name, IMAGE];
        let id = docker(&[&words[..1], options, &words[1..], &["sh", "-c", "sleep 0.4; umask 22"]].concat())?;
        let wait = turn * STEP_MICROSECONDS * INSTANTS / turns;
        let mut stranger = Command::new(folder.path().join("stranger"));
        stranger.arg(&parent).arg(id.trim()).args([wait.to_string(), (turn & KINDS).to_string()]);
        let stranger = Running::start(&mut stranger)?;
        docker(&["start", &container.name])?;
        let output = stranger.finish(PATIENCE)?;
        ensure!(output.status.success(), "turn {turn}: {}", String::from_utf8_lossy(&output.stderr));
        container.ends_well()?;
        container.remove()?;
        containers.push(container);
    }
    recorder.interrupt()?;
    for (turn, container) in containers.iter().enumerate() {
        let recording = recorder.recording(&format!("{}.recording.json", container.name))?;
        check(&recording, turn)
            .map_err(|error| error.context(format!("turn {turn}: {}", recorder.said())))?;
    }
    Ok(())
}

fn has_warning(recording: &Recording, code: &str) -> bool {
    recording.warnings.iter().any(|warning| warning.code == code)
}

/// It has its own calls. Where somebody played the application he is named, and it is incomplete: nobody can tell which of the two is
/// the container's.
fn is_whole(recording: &Recording) -> Result<()> {
    let all = calls(recording, None);
    ensure!(all.contains("umask") && all.contains("exit_group"), "{all:?}");
    let is_named = has_warning(recording, "rival-applications");
    ensure!(is_named == (recording.lost.syscalls > 0), "{is_named}, {:?}", recording.lost);
    let application = calls(recording, Some(Origin::Application));
    ensure!(
        is_named || !STRANGERS.iter().any(|name| application.contains(name)),
        "nobody is told of him: {all:?}"
    );
    Ok(())
}

/// Calls that nobody else makes.
const STRANGERS: [&str; 2] = ["getitimer", "getpriority"];

fn is_unharmed(recording: &Recording, turn: usize) -> Result<()> {
    is_whole(recording)?;
    if turn & PLAYS_IT != 0 {
        return Ok(());
    }
    ensure!(recording.lost == Lost::default(), "{:?}", recording.lost);
    let boundary = &recording.boundary;
    ensure!(boundary.method == BoundaryMethod::Filter && !boundary.attached_late, "{boundary:?}");
    ensure_calls(recording, Origin::Application, &["umask", "exit_group"], &STRANGERS)?;
    ensure_calls(recording, Origin::Joined, &[], &["umask"])?;
    // With one of the two, or none, he may be a runtime that brings somebody in.
    if turn & NO_RUNTIME == NO_RUNTIME {
        ensure_calls(recording, Origin::Joined, &[], &STRANGERS)?;
        ensure!(has_warning(recording, "foreign-tasks"), "nobody is told of him");
    }
    Ok(())
}
