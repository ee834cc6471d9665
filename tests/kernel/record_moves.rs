//! `record --cgroup`: processes that move, cgroups that are made meanwhile, and the end of what lived for an instant.

use crate::{
    common::{Cgroup, LIMIT, NATIVE, Recorder, TestEnv, bare, eventually, expect, names, set},
    support::{self, Need, Running, Trial},
};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{BoundaryMethod, Origin, Recording};
use std::{fs, process::Command};

/// Waits until there is a file `go`.
const WAIT: &str = r#"
static const long pause[2] = {0, 5000000};
while (call(__NR_faccessat, -100, (long)"go", 0) != 0) call(__NR_nanosleep, (long)pause, 0, 0);
"#;
/// A call that nothing else makes; then it says so, by a folder.
const WORK: &str = r#"call(__NR_getpriority, 0, 0, 0); call(__NR_mkdirat, -100, (long)"done", 0700);"#;
/// Stays there.
const STAY: &str = "for (;;) call(__NR_nanosleep, (long)pause, 0, 0);";

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("who_was_there_and_moves_itself_below_is_recorded_on", needs, || moved(true)),
        support::test("who_was_there_and_is_moved_below_is_recorded_on", needs, || moved(false)),
        support::test("who_moves_in_and_executes_nothing_is_recorded", needs, || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
            let running = start(&case, &[WAIT, &enter(&cgroup.procs()), WORK, STAY].concat())?;
            done(&case)?;
            // It is still there when the recording ends.
            expect(&recorder.interrupt()?, 0, &["estimated"])?;
            drop(running);
            has_worked(&case)
        }),
        support::test("who_moves_in_executes_nothing_and_ends_is_recorded", needs, || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
            let running = start(&case, &[WAIT, &enter(&cgroup.procs()), WORK].concat())?;
            done(&case)?;
            expect(&running.finish(LIMIT)?, 0, &[])?;
            // Within a tick, and the five seconds in which somebody could come again.
            expect(&recorder.finish()?, 0, &["estimated"])?;
            has_worked(&case)
        }),
        support::test("a_cgroup_that_is_waited_for_may_be_made_with_one_below", needs, || {
            for below in ["", "sub"] {
                let (case, cgroup) = (TestEnv::new()?, Cgroup::named()?);
                let recorder = Recorder::start(&case, &["--wait", "--cgroup", &cgroup.path], &[])?;
                // The kernel program alone, for user space may be late.
                recorder.running.signal(Signal::STOP)?;
                program(&case, &cgroup, "mkdir $0 $0/sub", below)?;
                recorder.running.signal(Signal::CONT)?;
                cgroup.remove()?;
                expect(&recorder.finish()?, 0, &["estimated"])?;
                is_exact(&case.recording()?)?;
            }
            Ok(())
        }),
        support::test("folders_that_others_make_meanwhile_lose_nothing", needs, folders),
        support::test("what_lived_for_an_instant_in_an_empty_cgroup_ends_a_record", needs, || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
            program(&case, &cgroup, ":", "")?;
            let output = recorder.finish()?;
            expect(&output, 0, &[])?;
            is_exact(&case.recording()?)
        }),
        support::test("a_child_with_a_root_of_its_own_takes_no_call_from_the_others", needs, chrooted),
        support::test("a_cgroup_below_another_target_is_part_of_it", needs, || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            cgroup.make("in")?;
            let below = format!("{}/in", cgroup.path);
            let targets = ["--cgroup", &below, "--cgroup", &cgroup.path, "--cgroup", &cgroup.path];
            let recorder = Recorder::start(&case, &targets, &[])?;
            program(&case, &cgroup, ":", "")?;
            expect(&recorder.interrupt()?, 0, &["estimated"])?;
            is_exact(&case.recording()?)
        }),
        support::test("a_recording_alone_of_nothing_is_an_error", &[Need::Kernel], || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            let place = case.file("recording.json");
            let recorder =
                Recorder::start_at(&case, &["--cgroup", &cgroup.path], &["--recording", &place], &[])?;
            let output = recorder.interrupt()?;
            expect(&output, 2, &["error: ", &cgroup.path])
        }),
    ]
}

/// Moves the program itself.
fn enter(procs: &str) -> String {
    format!("call(__NR_write, call(__NR_openat, -100, (long)\"{procs}\", 1), (long)\"0\", 1);")
}

/// Starts a program in the test's folder.
fn start(case: &TestEnv, body: &str) -> Result<Running> {
    let program = bare(case, "mover", body)?;
    fs::write(case.file("go"), "")?;
    Running::start(Command::new(program).current_dir(case.folder.path()))
}

/// Waits until the program has made its calls.
fn done(case: &TestEnv) -> Result<()> {
    eventually("the program has made its calls", || fs::metadata(case.file("done")).ok()).map(drop)
}

fn has_worked(case: &TestEnv) -> Result<()> {
    let recording = case.recording()?;
    let seen = names(&recording, NATIVE, Origin::Application);
    ensure!(seen.is_superset(&set(["getpriority", "mkdirat"])), "{:?}", recording.syscalls);
    case.is_clean()
}

/// A program that was there before us gets into a cgroup below that is made later.
fn moved(by_itself: bool) -> Result<()> {
    let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
    let below = cgroup.directory().join("w/cgroup.procs").display().to_string();
    let body =
        if by_itself { [WAIT, &enter(&below), WORK, STAY].concat() } else { [WAIT, WORK, STAY].concat() };
    let mover = bare(&case, "mover", &body)?;
    let script = "echo 0 >$0 && exec $1";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, &cgroup.procs(), &mover]).current_dir(case.folder.path());
    let running = Running::start(&mut shell)?;
    let comm = format!("/proc/{}/comm", running.pid());
    eventually("it is there", || {
        (fs::read_to_string(&comm).ok()?.trim() == "mover" && !cgroup.processes().is_empty()).then_some(())
    })?;
    let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
    cgroup.make("w")?;
    if !by_itself {
        fs::write(&below, running.pid().to_string())?;
    }
    fs::write(case.file("go"), "")?;
    done(&case)?;
    let pids = fs::read_to_string(&below)?;
    ensure!(pids.trim() == running.pid().to_string(), "it is not below: {pids:?}");
    expect(&recorder.interrupt()?, 0, &["was running before"])?;
    drop(running);
    has_worked(&case)
}

/// Runs a small program in a cgroup, or in one below, after its shell has done `first`; `$0` is the cgroup.
fn program(case: &TestEnv, cgroup: &Cgroup, first: &str, below: &str) -> Result<()> {
    let program = bare(case, "program", "call(__NR_getppid, 0, 0, 0);")?;
    let script = format!("{first} && echo 0 >$0/{below}/cgroup.procs && exec $1");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(cgroup.directory()).arg(program);
    expect(&support::run_with_timeout(&mut shell, LIMIT)?, 0, &[])
}

/// The program of [`program`], whole, and nothing else.
fn is_exact(recording: &Recording) -> Result<()> {
    ensure!(recording.boundary.method == BoundaryMethod::Estimated, "{:?}", recording.boundary);
    let seen = names(recording, NATIVE, Origin::Application);
    ensure!(seen == set(["getppid", "exit_group"]), "{seen:?}");
    ensure!(!recording.is_incomplete(), "{:?}", recording.lost);
    Ok(())
}

/// A shell in the cgroup runs a program in another root, then becomes one that makes a call of its own.
fn chrooted() -> Result<()> {
    let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
    let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
    bare(&case, "program", "call(__NR_getppid, 0, 0, 0);")?;
    let last = bare(&case, "last", WORK)?;
    let script = "echo 0 >$0 && chroot . /program && exec $1";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, &cgroup.procs(), &last]).current_dir(case.folder.path());
    expect(&support::run_with_timeout(&mut shell, LIMIT)?, 0, &[])?;
    expect(&recorder.interrupt()?, 0, &["estimated"])?;
    let seen = names(&case.recording()?, NATIVE, Origin::Application);
    // The program's, chroot's own, and the last one's.
    ensure!(seen.is_superset(&set(["getppid", "chroot", "getpriority", "mkdirat"])), "{seen:?}");
    Ok(())
}

/// Ten folders, one in another, are nobody's: each takes a slot for an instant.
fn folders() -> Result<()> {
    let case = TestEnv::new()?;
    let (target, later, other) = (Cgroup::create()?, Cgroup::named()?, Cgroup::create()?);
    let places = ["--output-dir", &case.file(""), "--recording-dir", &case.file("")];
    let targets = ["--wait", "--cgroup", &target.path, "--cgroup", &later.path];
    let recorder = Recorder::start_at(&case, &targets, &places, &[])?;
    for turn in 0..10 {
        let nested = format!("{turn}/1/2/3/4/5/6/7/8/9");
        recorder.running.signal(Signal::STOP)?;
        fs::create_dir_all(other.directory().join(nested))?;
        // What is made now below the target must not be taken for one of them.
        target.make(&turn.to_string())?;
        program(&case, &target, ":", &turn.to_string())?;
        recorder.running.signal(Signal::CONT)?;
    }
    program(&case, &later, "mkdir $0 $0/sub", "sub")?;
    expect(&recorder.interrupt()?, 0, &[])?;
    for cgroup in [&target, &later] {
        let name = cgroup.path.trim_start_matches('/');
        is_exact(&Recording::read(case.file(&format!("{name}.recording.json")).as_ref())?)?;
    }
    Ok(())
}
