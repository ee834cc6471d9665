//! A killed seccomp-trace: what it had seen a second before is on disk, and an old result is still whole.

use crate::{
    common::{LIMIT, TestEnv, allowed, bare, eventually, expect, json},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::Recording;
use std::fs;

pub fn tests() -> Vec<Trial> {
    vec![
        support::test("a_killed_run_leaves_a_checkpoint", &[Need::Kernel, Need::Cc], killed),
        support::test("a_checkpoint_grows_while_something_is_new", &[Need::Kernel, Need::Cc], || {
            let case = TestEnv::new()?;
            let program = bare(&case, "rare", "call(__NR_getitimer, 0, 0, 0);")?;
            let script = format!("until [ -e go ]; do sleep 0.02; done; {program}; exec sleep 60");
            let running = case.start(&[], &["sh", "-c", &script])?;
            let partial = case.folder.path().join("recording.json.partial");
            eventually("a first checkpoint", || Recording::read(&partial).ok())?;
            fs::write(case.file("go"), "")?;
            eventually("a second checkpoint", || {
                has_getitimer(&Recording::read(&partial).ok()?).then_some(())
            })?;
            running.signal(Signal::TERM)?;
            // A good end leaves none.
            expect(&case.finish(running)?, 128 + 15, &[])?;
            ensure!(has_getitimer(&case.recording()?));
            Ok(())
        }),
        support::test("the_cgroup_of_a_killed_run_goes_with_the_next", &[Need::Kernel], || {
            let case = TestEnv::new()?;
            let script = "own=$(echo $0/seccomp-trace.*); mkdir -p $own/below/it; touch ready; exec sleep 60";
            let running =
                case.start(&[], &["sh", "-c", script, &case.home.directory().display().to_string()])?;
            eventually("COMMAND is ready", || fs::metadata(case.file("ready")).ok())?;
            // A second before the next one: nothing is being written.
            eventually("a checkpoint", || fs::metadata(case.file("recording.json.partial")).ok())?;
            running.signal(Signal::KILL)?;
            running.finish(LIMIT)?;
            let stale = case.home.below();
            ensure!(stale.len() == 3, "{stale:?}");
            // COMMAND is still in it, and a run beside leaves it alone.
            let beside = support::run_with_timeout(&mut case.run_command(&[], &["true"]), LIMIT)?;
            expect(&beside, 0, &[])?;
            ensure!(case.home.below() == stale, "{:?}", case.home.below());
            for pid in case.home.processes() {
                support::run_with_timeout(std::process::Command::new("kill").arg(pid.to_string()), LIMIT)?;
            }
            eventually("COMMAND has ended", || case.home.processes().is_empty().then_some(()))?;
            // The killed one's checkpoint is its user's, unless a run that lasts long enough writes another one.
            fs::remove_file(case.file("recording.json.partial")).ok();
            expect(&case.run(&[], &["true"])?, 0, &[])
        }),
        support::test("a_process_id_that_comes_again_is_no_obstacle", &[Need::Kernel], || {
            // In a container of CI every run may be process 7: the cgroup of a killed one has the same name.
            for (left, cgroups) in [("", 0), ("sh -c 'echo 0 >$0/cgroup.procs; exec sleep 60' $own &", 1)] {
                let case = TestEnv::new()?;
                let script = format!(
                    "own={}/seccomp-trace.$$; mkdir $own; {left}
                     until [ \"$(wc -l <$own/cgroup.procs)\" = {cgroups} ]; do sleep 0.01; done; exec \"$@\"",
                    case.home.directory().display()
                );
                let mut command = case.in_script(&script, &case.run_words(&[], &["true"]));
                let output = support::run_with_timeout(&mut command, LIMIT)?;
                expect(&output, 0, &[])?;
                // One in use is left alone.
                ensure!(case.home.below().len() == cgroups, "{:?}", case.home.below());
            }
            Ok(())
        }),
    ]
}

fn has_getitimer(recording: &Recording) -> bool {
    recording.syscalls.values().flatten().any(|call| call.name.as_deref() == Some("getitimer"))
}

fn killed() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "rare", "call(__NR_getitimer, 0, 0, 0);")?;
    fs::write(case.profile_path(), "the old one")?;
    fs::write(case.file("recording.json"), "the old one")?;
    let running = case.start(&[], &["sh", "-c", &format!("{program}; exec sleep 60")])?;
    let partial = case.folder.path().join("recording.json.partial");
    eventually("a checkpoint with the call", || {
        has_getitimer(&Recording::read(&partial).ok()?).then_some(())
    })?;
    running.signal(Signal::KILL)?;
    running.finish(LIMIT)?;

    for file in ["profile.json", "recording.json"] {
        ensure!(fs::read_to_string(case.file(file))? == "the old one", "{file} is not whole");
    }
    ensure!(!Recording::read(&partial)?.finished);
    let from_it = case.file("from-it.json");
    let partial = partial.display().to_string();
    let generate = ["generate", &partial, "-o", &from_it, "--allow-incomplete"];
    let output = support::run_with_timeout(support::program().args(&generate[..4]), LIMIT)?;
    expect(&output, 2, &["it is a checkpoint", "--allow-incomplete"])?;
    let output = support::run_with_timeout(support::program().args(generate), LIMIT)?;
    expect(&output, 0, &["the recording is a checkpoint"])?;
    ensure!(allowed(&json(from_it.as_ref())?).contains("getitimer"));
    ensure!(!case.files()?.iter().any(|name| name.starts_with('.')), "{:?}", case.files()?);
    Ok(())
}
