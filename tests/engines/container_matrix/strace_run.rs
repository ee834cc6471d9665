//! The independent oracle: one execution of a program with many threads, processes and kinds of calls
//! (strace_run.c) is seen by `seccomp-trace run` and by `strace -f`, and both name the same calls.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::command;
use crate::strace_oracle::calls::Abi;
use crate::strace_oracle::log::{self, From};
use crate::strace_oracle::{Comparison, recording};
use crate::support;

const PATIENCE: Duration = Duration::from_secs(30);
/// What threads do at the same time differs from run to run.
const EXECUTIONS: usize = 3;
/// As strace_run.c ends.
const STATUS: i32 = 5;

/// The test.
pub fn agrees() -> Result<()> {
    let folder = support::temp_dir()?;
    let program = folder.path().join("strace_run");
    compile(&program)?;
    for execution in 1..=EXECUTIONS {
        let Comparison { agreed, differences, .. } = execute(folder.path(), &program)?;
        ensure!(differences.is_empty(), "execution {execution}: {differences:?}");
        let count = |abi: Abi| agreed.get(&abi).map_or(0, BTreeSet::len);
        ensure!(count(Abi::X86_64) > 60 && count(Abi::I386) == 2 && count(Abi::X32) == 1, "{agreed:?}");
    }
    Ok(())
}

/// Runs the program once.
fn execute(folder: &Path, program: &Path) -> Result<Comparison> {
    let [profile, recording, log] =
        ["profile.json", "recording.json", "strace.log"].map(|file| folder.join(file));
    let mut run = support::program();
    run.arg("run").arg("-o").arg(&profile).arg("--recording").arg(&recording).arg("--").arg(program);
    let stderr = folder.join("stderr");
    run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&stderr)?);
    let mut run = Guard(run.spawn().context("seccomp-trace can't be started")?);
    let said = || fs::read_to_string(&stderr).unwrap_or_default();
    let mut stdout = BufReader::new(run.0.stdout.take().context("no standard output")?);

    // The program says its id and stops itself: strace comes from outside, and is no part of the recording.
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let Ok(pid) = line.trim().parse::<u32>() else {
        bail!("the program didn't start: {line:?}\n{}", said());
    };
    status_until(pid, "State:", "the program's stop", |state| state.starts_with('T'))?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-n", "--raw=all", "--quiet=none", "-o"]).arg(&log).arg("-p").arg(pid.to_string());
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let spawned = strace.spawn().context("the comparison needs strace (Debian's package: strace)");
    let mut strace = match spawned {
        Ok(strace) => Guard(strace),
        Err(error) => {
            signal(pid, "KILL")?;
            return Err(error);
        }
    };
    status_until(pid, "TracerPid:", "strace", |tracer| tracer != "0")?;
    signal(pid, "CONT")?;

    let mut rest = String::new();
    stdout.read_to_string(&mut rest)?;
    let status = command::wait(&mut run.0, PATIENCE)?;
    command::wait(&mut strace.0, PATIENCE).context("strace")?;
    if status.code() != Some(STATUS) || !rest.ends_with("done\n") {
        bail!("the program: {status}, {rest:?}\n{}", said());
    }
    let recorded = recording::read(&fs::read(&recording)?, "exec")?;
    Ok(Comparison::new(&recorded, &log::read(&fs::read_to_string(&log)?, From::Attach)?))
}

fn compile(program: &Path) -> Result<()> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/engines/container_matrix/strace_run.c");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", source, "-o"]).arg(program);
    command::output(&mut cc, PATIENCE)
        .context("the comparison needs a C compiler (Debian's package: gcc)")?;
    Ok(())
}

/// Waits until a line of the process' status is as it should be.
fn status_until(pid: u32, key: &str, what: &str, good: impl Fn(&str) -> bool) -> Result<()> {
    command::until(PATIENCE, what, || {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let value = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        Ok(good(value.trim()).then_some(()))
    })
}

fn signal(pid: u32, signal: &str) -> Result<()> {
    command::output(Command::new("kill").args(["-s", signal, &pid.to_string()]), PATIENCE).map(drop)
}

/// A child that doesn't outlive the test. Told to end first: seccomp-trace then takes its command with it.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            signal(self.0.id(), "TERM").ok();
            if command::wait(&mut self.0, Duration::from_secs(5)).is_err() {
                self.0.kill().ok();
            }
        }
    }
}
