//! Containers that make cgroups and processes without end: asked for or not, they cost nobody else a call, and no
//! slot.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use seccomp_trace::inspect::cgroup::Hierarchy;
use seccomp_trace::recording::{BoundaryMethod, Lost, Origin, Recording};
use tempfile::TempDir;

use crate::container_matrix::command::{self, until};
use crate::recorder::{Container, Recorder, docker, ensure_calls, steady_calls};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Cc];
/// A hundred thousand cgroups, on a busy machine.
const LONG: Duration = Duration::from_secs(180);
const OF_THE_RUNTIME: [&str; 6] = ["mount", "umount2", "pivot_root", "keyctl", "sethostname", "capset"];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_beside_empty_cgroups_with_names_of_containers", NEEDS, empty),
        support::exclusive("record_beside_strangers_that_make_cgroups_without_end", NEEDS, cgroups),
        support::exclusive("record_beside_a_fork_bomb_that_joined_another_container", NEEDS, forks),
    ]
}

/// `make COUNT`, in its own cgroup: makes so many below, and removes them at SIGTERM. `fork COUNT`: so many children
/// at a time, until SIGTERM.
const PROGRAM: &str = r#"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static void fail(const char *what) { perror(what); exit(1); }
int main(int argc, char **argv) {
    int count = atoi(argv[2]), got;
    char own[512] = "", line[512], path[1024];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    if (!strcmp(argv[1], "make")) {
        FILE *file = fopen("/proc/self/cgroup", "r");
        while (fgets(line, sizeof line, file)) if (!strncmp(line, "0::", 3)) strcpy(own, strtok(line + 3, "\n"));
        for (int i = 0; i < count; i++) {
            sprintf(path, "/cg%s/%d", own, i);
            if (mkdir(path, 0755)) fail(path);
        }
    } else for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (child == 0) { sigwait(&set, &got); _exit(0); }
    }
    puts("up");
    fflush(stdout);
    sigwait(&set, &got);
    for (int i = 0; *own && i < count; i++) {
        sprintf(path, "/cg%s/%d", own, i);
        if (rmdir(path)) fail(path);
    }
    puts("down");
    if (!*own) { signal(SIGTERM, SIG_IGN); kill(0, SIGTERM); }
    return 0;
}
"#;

/// The program, in a folder that a container mounts.
fn program() -> Result<TempDir> {
    let folder = support::temp_dir()?;
    let source = folder.path().join("hostile.c");
    fs::write(&source, PROGRAM)?;
    let mut cc = Command::new("cc");
    command::output(cc.arg("-static").arg("-o").arg(folder.path().join("hostile")).arg(&source), LONG)?;
    Ok(folder)
}

/// A container that makes cgroups below its own; what it leaves goes with the value.
struct Maker {
    container: Container,
    hierarchy: Hierarchy,
    below: String,
}

impl Maker {
    fn start(what: &str, program: &TempDir, count: u32) -> Result<Self> {
        let container = Container::named(what);
        let hierarchy = Hierarchy::find()?;
        let cgroups = format!("{}:/cg", hierarchy.directory("/").display());
        let folder = format!("{}:/hostile:ro", program.path().display());
        let options = ["--cgroupns", "host", "--volume", &cgroups, "--volume", &folder];
        container.start(&options, &format!("exec /hostile/hostile make {count}"))?;
        let id = docker(&["inspect", "--format", "{{.Id}}", &container.name])?;
        let tree = hierarchy.tree("/docker");
        let below = tree.into_iter().find(|path| path.ends_with(id.trim())).unwrap_or_default();
        Ok(Self { container, hierarchy, below })
    }

    fn until_said(&self, line: &str) -> Result<()> {
        until(LONG, line, || Ok(docker(&["logs", &self.container.name])?.contains(line).then_some(())))
    }

    fn end(&self) -> Result<()> {
        docker(&["kill", "--signal", "TERM", &self.container.name])?;
        self.until_said("down")
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.container.remove().ok();
        if !self.below.is_empty() {
            for path in self.hierarchy.tree(&self.below).iter().rev() {
                fs::remove_dir(self.hierarchy.directory(path)).ok();
            }
        }
    }
}

/// The recording of a small container, in a session with room for two.
fn record_one(meanwhile: impl FnOnce(&mut Recorder) -> Result<Vec<Maker>>) -> Result<Recording> {
    let container = Container::named("wanted");
    let arguments = ["--wait", "--container", &container.name, "--recording", "{}/recording.json"];
    let mut recorder = Recorder::ready(&[&arguments[..], &["--max-containers", "2"]].concat())?;
    let makers = meanwhile(&mut recorder)?;
    container.start(&[], "mkdir /x && chmod 700 /x && rmdir /x")?;
    container.ends_well()?;
    container.remove()?;
    makers.iter().try_for_each(Maker::end)?;
    recorder.ends_with(0)?;
    recorder.recording("recording.json")
}

/// A cgroup with empty ones below; they go with the value.
struct Empty(Hierarchy, String);

impl Drop for Empty {
    fn drop(&mut self) {
        for path in self.0.tree(&self.1).iter().rev() {
            fs::remove_dir(self.0.directory(path)).ok();
        }
    }
}

/// Eight, where there is room for two containers.
fn empty() -> Result<()> {
    let mut made = None;
    let recording = record_one(|_| {
        let empty = Empty(
            Hierarchy::find()?,
            format!("/{}", crate::container_matrix::container::unused_name("empty")),
        );
        let folder = empty.0.directory(&empty.1);
        fs::create_dir(&folder)?;
        (0..8).try_for_each(|number| fs::create_dir(folder.join(format!("{number:064x}"))))?;
        made = Some(empty);
        Ok(Vec::new())
    })?;
    drop(made);
    ensure!(recording.lost == Lost::default(), "{:?}", recording.lost);
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    Ok(())
}

/// One was there before, one comes while it is traced: it is recorded until Docker has said its name.
fn cgroups() -> Result<()> {
    let program = program()?;
    let alone = record_one(|_| Ok(Vec::new()))?;
    let early = Maker::start("early", &program, 20_000)?;
    early.until_said("up")?;
    let beside = record_one(|_| {
        let late = Maker::start("late", &program, 100_000)?;
        late.until_said("up")?;
        Ok(vec![early, late])
    })?;
    ensure!(beside.lost == Lost::default(), "{:?}", beside.lost);
    ensure!(beside.boundary == alone.boundary, "{:?}, not {:?}", beside.boundary, alone.boundary);
    let (with, without) = (steady_calls(&beside), steady_calls(&alone));
    ensure!(with == without, "{with:?}, not {without:?}");
    Ok(())
}

/// More tasks than there is room for have joined one container: it alone has calls of which the origin is lost.
fn forks() -> Result<()> {
    let program = program()?;
    let prefix = crate::container_matrix::container::unused_name("forks");
    let container = |name: &str| Container { name: format!("{prefix}-{name}") };
    let (hostile, other) = (container("hostile"), container("other"));
    let glob = format!("{prefix}-*");
    let mut recorder = Recorder::ready(&["--container", &glob, "--recording-dir", "{}"])?;
    let folder = format!("{}:/hostile:ro", program.path().display());
    hostile.start(&["--volume", &folder], "echo up; while :; do sleep 1; done")?;
    hostile.until_said("up")?;
    let script = "/hostile/hostile fork 17500 >/said 2>&1";
    docker(&["exec", "--detach", &hostile.name, "sh", "-c", script])?;
    until(LONG, "the fork bomb", || {
        Ok((docker(&["exec", &hostile.name, "cat", "/said"]).unwrap_or_default() == "up\n").then_some(()))
    })?;
    other.start(&[], "mkdir /x && rmdir /x")?;
    other.ends_well()?;
    hostile.remove()?;
    recorder.signal(rustix::process::Signal::INT)?;
    recorder.status()?;

    let recording = recorder.recording(&format!("{}.recording.json", other.name))?;
    ensure!(recording.lost == Lost::default(), "{:?}", recording.lost);
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    ensure_calls(&recording, Origin::Application, &["mkdir", "rmdir"], &OF_THE_RUNTIME)?;
    let recording = recorder.recording(&format!("{}.recording.json", hostile.name))?;
    ensure!(recording.lost.task_origins > 0, "the table has held all: this proves nothing");
    ensure!(recording.lost.syscalls == 0, "{:?}", recording.lost);
    Ok(())
}
