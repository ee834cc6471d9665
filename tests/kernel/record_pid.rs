//! `record --pid`: the cgroup in which a process is.

use crate::{
    common::{Cgroup, LIMIT, NATIVE, Recorder, TestEnv, bare, eventually, expect, names},
    support::{self, Need, Running, Trial},
};
use anyhow::ensure;
use seccomp_trace::recording::{Origin, Target};
use std::process::Command;

pub fn tests() -> Vec<Trial> {
    vec![
        support::test("the_cgroup_of_a_process_is_recorded", &[Need::Kernel, Need::Cc], || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            let program = bare(&case, "rare", "call(__NR_getitimer, 0, 0, 0);")?;
            let script = "echo 0 >$0; while sleep 0.02; do $1; done";
            let running = Running::start(Command::new("sh").args(["-c", script, &cgroup.procs(), &program]))?;
            eventually("it is in its cgroup", || (!cgroup.processes().is_empty()).then_some(()))?;
            let recorder = Recorder::start(&case, &["--pid", &running.pid().to_string()], &[])?;
            recorder.until_checkpoint(|calls| calls.contains("getitimer"))?;
            expect(&recorder.interrupt()?, 0, &["was running before"])?;
            let recording = case.recording()?;
            ensure!(
                recording.target == Target::Cgroup { path: cgroup.path.clone(), unit: None },
                "{:?}",
                recording.target
            );
            ensure!(names(&recording, NATIVE, Origin::Application).contains("getitimer"));
            Ok(())
        }),
        support::test("a_process_in_the_root_is_refused", &[Need::Kernel], || {
            let case = TestEnv::new()?;
            // A kernel thread is always there.
            let output = support::run_with_timeout(&mut case.program(["record", "--pid", "2"]), LIMIT)?;
            expect(&output, 2, &["--pid 2", "no cgroup v2 of its own", "seccomp-trace run"])?;
            ensure!(output.stdout.is_empty());
            case.is_clean()
        }),
        support::test("a_process_that_is_not_there_is_told", &[Need::Kernel], || {
            let case = TestEnv::new()?;
            for pid in ["4194305", "0", "-1"] {
                let pid = format!("--pid={pid}");
                let output = support::run_with_timeout(&mut case.program(["record", &pid]), LIMIT)?;
                expect(&output, 2, &["--pid"])?;
                ensure!(output.stdout.is_empty());
            }
            Ok(())
        }),
    ]
}
