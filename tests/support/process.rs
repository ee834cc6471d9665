//! Running programs: bounded in time, without a terminal.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
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
    let name = command.get_program().display().to_string();
    let file = || tempfile::tempfile().context("cannot make a file for a test's output");
    let (mut stdout, mut stderr) = (file()?, file()?);
    let child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let status = wait(child, limit).with_context(|| format!("cannot wait for {name}"))?;
    let (stdout, stderr) = (read(&mut stdout)?, read(&mut stderr)?);
    let Some(status) = status else {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        bail!("{name} was killed after {limit:?}; it printed {:?} and {:?}", text(&stdout), text(&stderr));
    };
    Ok(Output { status, stdout, stderr })
}

/// `None` where the process had to be killed.
fn wait(mut child: Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            // The group can be gone in this instant; the process is waited for either way.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).context("cannot read a test's output back")?;
    Ok(bytes)
}
