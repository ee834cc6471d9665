//! The independent witness: one execution of a program with many threads, processes and kinds of calls
//! (witness.c) is seen by `seccomp-trace run` and by `strace -f`, and both name the same calls.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::command;
use super::record::calls;
use crate::support;

const PATIENCE: Duration = Duration::from_secs(30);
/// What threads do at the same time differs from run to run.
const EXECUTIONS: usize = 3;
/// As witness.c ends.
const STATUS: i32 = 5;

/// A call that only one of the two may see, and why that is right.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Exception {
    syscall: String,
    side: Side,
    why: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Side {
    OnlyStrace,
    OnlyRecording,
}

/// The test.
pub fn agrees() -> Result<()> {
    let exceptions: Vec<Exception> =
        serde_json::from_str(include_str!("witness-exceptions.json")).context("witness-exceptions.json")?;
    ensure!(exceptions.len() <= 10, "more than ten exceptions: no witness");
    ensure!(exceptions.iter().all(|exception| !exception.why.is_empty()), "an exception without a reason");
    let but = |side: Side, calls: BTreeSet<String>| -> Vec<String> {
        let excepted = |call: &String| exceptions.iter().any(|e| e.side == side && e.syscall == *call);
        calls.into_iter().filter(|call| !excepted(call)).collect()
    };

    let folder = support::temp_dir()?;
    let program = folder.path().join("witness");
    compile(&program)?;
    for execution in 1..=EXECUTIONS {
        let (recorded, straced) = execute(folder.path(), &program)?;
        let only_straced = but(Side::OnlyStrace, &straced - &recorded);
        let only_recorded = but(Side::OnlyRecording, &recorded - &straced);
        ensure!(straced.len() > 60, "strace saw {} calls only: {straced:?}", straced.len());
        ensure!(
            only_straced.is_empty() && only_recorded.is_empty(),
            "execution {execution}: only strace saw {only_straced:?}; only the recording has {only_recorded:?}"
        );
    }
    Ok(())
}

/// Runs the program once; gives the calls recorded and those that strace saw.
fn execute(folder: &Path, program: &Path) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
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
    strace.arg("-f").arg("-o").arg(&log).arg("-p").arg(pid.to_string());
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let spawned = strace.spawn().context("the witness needs strace (Debian's package: strace)");
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
    Ok((calls(&fs::read_to_string(&recording)?)?, called(&fs::read_to_string(&log)?)))
}

/// The names of the calls in a log of `strace -f -o`; one that strace has no name for is its number.
fn called(log: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        // `<... read resumed>` is the other half of a `read(… <unfinished ...>`, or the end of a call in which
        // strace came. Signals (`---`), ends (`+++`) and calls that it couldn't see (`???(`) have no name.
        let name = match line.strip_prefix("<... ") {
            Some(rest) => rest.split_once(" resumed").map(|(name, _)| name),
            None => line.split_once('(').map(|(name, _)| name),
        }?;
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let number = name.strip_prefix("syscall_0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
        is_name.then(|| number.map_or_else(|| name.to_owned(), |number| number.to_string()))
    };
    log.lines().filter_map(name).collect()
}

/// The test of the above: each kind of line that strace writes.
pub fn reads_a_log() -> Result<()> {
    let log = r#"
101   execve("/bin/true", ["true", "--- ("], 0x7ff /* 3 vars */) = 0
102   futex(0x7f, FUTEX_WAIT, 1, NULL <unfinished ...>
103   pread64(3, "a(b", 3, 0 <unfinished ...>
102   <... futex resumed>)              = 0
103   <... pread64 resumed>) = 3
104   <... restart_syscall resumed>)    = 0
104   syscall_0x1f0(0x1, 0x2) = -1 ENOSYS (Function not implemented)
104   _sysctl(0x1) = -1 ENOSYS (Function not implemented)
104   ???( <unfinished ...>
104   --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED(1)} ---
104   +++ killed by SIGKILL (core dumped) +++
102   exit_group(0)                     = ?
"#;
    let expected = ["496", "_sysctl", "execve", "exit_group", "futex", "pread64", "restart_syscall"];
    let read = called(log);
    ensure!(read == expected.map(str::to_owned).into(), "{read:?}");
    Ok(())
}

fn compile(program: &Path) -> Result<()> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/engines/proof/witness.c");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", source, "-o"]).arg(program);
    command::output(&mut cc, PATIENCE).context("the witness needs a C compiler (Debian's package: gcc)")?;
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
