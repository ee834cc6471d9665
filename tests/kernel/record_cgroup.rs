//! `record --cgroup`: a cgroup that no engine knows, whatever state it is in when we come.

use crate::{
    common::{
        Cgroup, LIMIT, NATIVE, Recorder, TestEnv, bare, eventually, expect, has_ended, names, set, stderr,
    },
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{BoundaryMethod, Origin, Target};
use std::{fs, process::Command};

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("a_populated_cgroup_is_recorded_late", needs, late),
        support::test("who_moves_into_an_empty_cgroup_is_recorded_from_its_exec_on", needs, || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
            enter(&case, &cgroup, "")?;
            // A killed recorder would have lost nothing either.
            recorder.until_checkpoint(|calls| calls.contains("getppid"))?;
            expect(&recorder.interrupt()?, 0, &["estimated", "tracing-profile"])?;
            is_exact(&case, BoundaryMethod::Estimated)
        }),
        support::test("who_is_moved_again_after_its_end_is_recorded_from_its_exec_on", needs, moved_again),
        support::test("a_cgroup_may_be_named_by_its_directory", needs, || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            let directory = cgroup.directory().display().to_string();
            let recorder = Recorder::start(&case, &["--cgroup", &directory], &[])?;
            enter(&case, &cgroup, "")?;
            expect(&recorder.interrupt()?, 0, &[])?;
            ensure!(case.recording()?.target == Target::Cgroup { path: cgroup.path.clone(), unit: None });
            is_exact(&case, BoundaryMethod::Estimated)
        }),
        support::test("cgroups_below_belong_to_it", needs, || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            cgroup.make("before")?;
            let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
            cgroup.make("after")?;
            cgroup.make("after/it")?;
            enter(&case, &cgroup, "before")?;
            enter(&case, &cgroup, "after/it")?;
            expect(&recorder.interrupt()?, 0, &[])?;
            is_exact(&case, BoundaryMethod::Estimated)
        }),
        support::test("a_cgroup_that_comes_later_is_waited_for_and_its_removal_ends_it", needs, || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::named()?);
            let recorder = Recorder::start(&case, &["--wait", "--cgroup", &cgroup.path], &[])?;
            // Others that come meanwhile are nobody's.
            let other = Cgroup::create()?;
            enter_with(&case, &other, "", "call(__NR_getitimer, 0, 0, 0);")?;
            cgroup.make("")?;
            enter(&case, &cgroup, "")?;
            cgroup.remove()?;
            // Five seconds, in which it could have come again.
            expect(&recorder.finish()?, 0, &["estimated"])?;
            is_exact(&case, BoundaryMethod::Estimated)
        }),
        support::test("a_cgroup_that_never_comes_is_told", &[Need::Kernel], || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::named()?);
            let recorder = Recorder::start(&case, &["--wait", "--cgroup", &cgroup.path], &[])?;
            expect(&recorder.interrupt()?, 2, &[&cgroup.path, "never ran"])?;
            ensure!(case.files()? == [""; 0], "{:?}", case.files()?);
            Ok(())
        }),
        support::test("the_kernel_programs_diagnostics_are_shown_with_verbose", &[Need::Kernel], || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::named()?);
            for (option, shown) in [("--verbose", true), ("--color=never", false)] {
                let recorder = Recorder::start(&case, &["--wait", "--cgroup", &cgroup.path], &[option])?;
                cgroup.make("")?;
                cgroup.remove()?;
                let said = stderr(&recorder.interrupt()?);
                ensure!(said.contains("kernel program: cgroup") == shown, "{option}: {said}");
            }
            Ok(())
        }),
        support::test("the_command_of_a_record_is_not_traced_itself", needs, command),
        support::test("two_cgroups_have_two_recordings", needs, two),
    ]
}

/// Runs a small program in a cgroup, moved there by a shell before its exec.
fn enter(case: &TestEnv, cgroup: &Cgroup, below: &str) -> Result<()> {
    enter_with(case, cgroup, below, "call(__NR_getppid, 0, 0, 0);")
}

fn enter_with(case: &TestEnv, cgroup: &Cgroup, below: &str, body: &str) -> Result<()> {
    let mut shell = entering(case, cgroup, below, body)?;
    expect(&support::run_with_timeout(&mut shell, LIMIT)?, 0, &[])
}

fn entering(case: &TestEnv, cgroup: &Cgroup, below: &str, body: &str) -> Result<Command> {
    let program = bare(case, "program", body)?;
    let procs = cgroup.directory().join(below).join("cgroup.procs");
    let mut shell = Command::new("sh");
    shell.args(["-c", "echo 0 >$0 && exec $1"]).arg(procs).arg(program);
    Ok(shell)
}

/// As systemd does where it is slower than its child: both write the child's id to the cgroup.
fn moved_again() -> Result<()> {
    let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
    let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
    let mut child = entering(&case, &cgroup, "", "call(__NR_getppid, 0, 0, 0);")?.spawn()?;
    let ended = eventually("it ends", || has_ended(child.id()).then_some(()));
    let moved = fs::write(cgroup.procs(), child.id().to_string());
    ensure!(child.wait()?.success());
    ended?;
    moved?;
    expect(&recorder.interrupt()?, 0, &["estimated"])?;
    is_exact(&case, BoundaryMethod::Estimated)
}

/// The program of [`enter`], whole, and nothing else.
fn is_exact(case: &TestEnv, method: BoundaryMethod) -> Result<()> {
    let recording = case.recording()?;
    ensure!(recording.boundary.method == method, "{:?}", recording.boundary);
    let seen = names(&recording, NATIVE, Origin::Application);
    ensure!(seen == set(["getppid", "exit_group"]), "{seen:?}");
    ensure!(names(&recording, NATIVE, Origin::Runtime).is_empty(), "{:?}", recording.syscalls);
    case.is_clean()
}

fn late() -> Result<()> {
    let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
    let program = bare(&case, "rare", "call(__NR_getitimer, 0, 0, 0);")?;
    let mut shell = Command::new("sh");
    let script = "echo 0 >$0; while sleep 0.02; do $1; done";
    let mut running = support::Running::start(shell.args(["-c", script, &cgroup.procs(), &program]))?;
    eventually("a process is in the cgroup", || (!cgroup.processes().is_empty()).then_some(()))?;
    let run = format!("seccomp-trace run -o profile.json -- sh -c '{script}' {} {program}\n", cgroup.procs());
    for (options, code) in [(&[][..], 0), (&["--strict"], 2)] {
        let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], options)?;
        recorder.until_checkpoint(|calls| calls.contains("getitimer"))?;
        expect(&recorder.interrupt()?, code, &["was running before", &run])?;
        let recording = case.recording()?;
        ensure!(recording.boundary.attached_late && recording.boundary.method == BoundaryMethod::Unknown);
        ensure!(names(&recording, NATIVE, Origin::Application).contains("execve"));
    }
    ensure!(!running.has_ended()?, "the process that was watched has ended");
    Ok(())
}

fn command() -> Result<()> {
    let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
    let program = bare(&case, "program", "call(__NR_getppid, 0, 0, 0);")?;
    let other = bare(&case, "other", "call(__NR_getitimer, 0, 0, 0);")?;
    let script =
        format!("{other}; sh -c 'echo 0 >$0 && exec {program}' {}; echo its own; exit 4", cgroup.procs());
    let command = ["sh", "-c", &script];
    let output = Recorder::start_with(&case, &["--cgroup", &cgroup.path], &[], &command)?.finish()?;
    expect(&output, 4, &[])?;
    ensure!(output.stdout == b"its own\n", "{:?}", output.stdout);
    is_exact(&case, BoundaryMethod::Estimated)
}

fn two() -> Result<()> {
    let case = TestEnv::new()?;
    let (one, two) = (Cgroup::create()?, Cgroup::create()?);
    let (profiles, recordings) = (case.file("profiles"), case.file("recordings"));
    for folder in [&profiles, &recordings] {
        std::fs::create_dir(folder)?;
    }
    let targets = ["--cgroup", &one.path, "--cgroup", &two.path];
    let places = ["--output-dir", &profiles, "--recording-dir", &recordings];
    let recorder = Recorder::start_at(&case, &targets, &places, &[])?;
    enter_with(&case, &one, "", "call(__NR_getitimer, 0, 0, 0);")?;
    enter_with(&case, &two, "", "call(__NR_getppid, 0, 0, 0);")?;
    recorder.running.signal(Signal::TERM)?;
    expect(&recorder.finish()?, 0, &[])?;
    for (cgroup, call) in [(&one, "getitimer"), (&two, "getppid")] {
        let name = cgroup.path.trim_start_matches('/');
        let recording = std::path::Path::new(&recordings).join(format!("{name}.recording.json"));
        let recording = seccomp_trace::recording::Recording::read(&recording)?;
        let seen = names(&recording, NATIVE, Origin::Application);
        ensure!(seen == set([call, "exit_group"]), "{name}: {seen:?}");
        ensure!(std::path::Path::new(&profiles).join(format!("{name}.json")).exists());
    }
    Ok(())
}
