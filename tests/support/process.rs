//! Running programs: bounded in time, without a terminal.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// seccomp-trace, as built for this test run.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_seccomp-trace"))
}

/// A folder that is removed when the value goes.
pub fn temp_dir() -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("seccomp-trace-test.")
        .tempdir()
        .context("cannot make a folder for a test")
}

/// Runs `command` to its end, without stdin, and returns what it printed. One that isn't done in `limit` is
/// killed with all its process group, and is an error that shows what it printed until then.
///
/// Its output goes through files: a descendant that it leaves behind can't hold up the test.
pub fn run_with_timeout(command: &mut Command, limit: Duration) -> Result<Output> {
    Running::start(command.stdin(Stdio::null()))?.finish(limit)
}

/// A program that runs beside the test. Dropped, it is killed with all its process group.
pub struct Running {
    name: String,
    child: Child,
    stdout: File,
    stderr: File,
}

impl Running {
    /// Starts `command` in a process group of its own. Its output goes to files, its stdin is the command's.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().display().to_string();
        let file = || tempfile::tempfile().context("cannot make a file for a test's output");
        let (stdout, stderr) = (file()?, file()?);
        let child = command
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, stdout, stderr })
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends the process a signal, not its group.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self::signal(self.pid(), signal).with_context(|| format!("cannot send {} a signal", self.name))
    }

    /// What it has printed on stdout and stderr so far.
    pub fn printed(&self) -> Result<(String, String)> {
        let text = |file: &File| read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok((text(&self.stdout)?, text(&self.stderr)?))
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end. One that isn't done in `limit` is killed, and is an error that shows what it printed.
    pub fn finish(mut self, limit: Duration) -> Result<Output> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Output { status, stdout: read(&self.stdout)?, stderr: read(&self.stderr)? });
            }
            if Instant::now() >= end {
                let (stdout, stderr) = self.printed()?;
                bail!("{} was killed after {limit:?}; it printed {stdout:?} and {stderr:?}", self.name);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The group can be gone in this instant; the process is waited for either way.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(self.pid(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// From the beginning, wherever the writers are.
fn read(file: &File) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len())?];
    file.read_exact_at(&mut bytes, 0).context("cannot read a test's output back")?;
    Ok(bytes)
}

/// Sends a process a signal. One that stops it has done so: on a busy machine its threads run on for a while.
pub fn signal(pid: Pid, signal: Signal) -> Result<()> {
    kill_process(pid, signal)?;
    let is_stopped = |stat: std::io::Result<String>| {
        // The thread's name stands before it, in parentheses. One that has ended is gone.
        stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
    };
    let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
    while signal == Signal::STOP
        && !fs::read_dir(&tasks)?
            .flatten()
            .all(|task| is_stopped(fs::read_to_string(task.path().join("stat"))))
    {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
