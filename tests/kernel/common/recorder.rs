//! A `seccomp-trace record` that runs beside the test.

use super::{LIMIT, TestEnv, eventually};
use crate::support::Running;
use anyhow::Result;
use rustix::process::Signal;
use seccomp_trace::recording::Recording;
use std::{collections::BTreeSet, process::Output};

/// See the module.
pub struct Recorder {
    pub running: Running,
    checkpoint: String,
}

impl Recorder {
    /// Starts it with profile and recording in the test's folder, and waits until it says that it is ready.
    pub fn start(case: &TestEnv, targets: &[&str], options: &[&str]) -> Result<Self> {
        Self::start_with(case, targets, options, &[])
    }

    /// The same with a COMMAND.
    pub fn start_with(case: &TestEnv, targets: &[&str], options: &[&str], command: &[&str]) -> Result<Self> {
        let (profile, recording) = (case.file("profile.json"), case.file("recording.json"));
        let places = [&["-o", &profile, "--recording", &recording], options].concat();
        Self::start_at(case, targets, &places, command)
    }

    /// The same with results elsewhere.
    pub fn start_at(case: &TestEnv, targets: &[&str], options: &[&str], command: &[&str]) -> Result<Self> {
        let end = if command.is_empty() { &[][..] } else { &["--"] };
        let mut running =
            Running::start(&mut case.program([&["record"], targets, options, end, command].concat()))?;
        eventually("it is ready", || {
            let is_ready = running.printed().is_ok_and(|(_, said)| said.contains("ready"));
            (is_ready || running.has_ended().unwrap_or(true)).then_some(())
        })?;
        Ok(Self { running, checkpoint: case.file("recording.json.partial") })
    }

    /// Waits until the checkpoint has what is wanted.
    pub fn until_checkpoint(&self, wanted: impl Fn(&BTreeSet<&str>) -> bool) -> Result<()> {
        eventually("a checkpoint with what is wanted", || {
            let recording = Recording::read(self.checkpoint.as_ref()).ok()?;
            let calls =
                recording.syscalls.values().flatten().filter_map(|call| call.name.as_deref()).collect();
            wanted(&calls).then_some(())
        })
    }

    /// Ends it with Ctrl-C.
    pub fn interrupt(self) -> Result<Output> {
        self.running.signal(Signal::INT)?;
        self.finish()
    }

    /// Waits for its end.
    pub fn finish(self) -> Result<Output> {
        self.running.finish(LIMIT)
    }
}
