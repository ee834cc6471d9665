//! Commands and conditions, with a time limit: a test that hangs tells nobody why.

use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::support;

/// Runs `command` and gives its standard output; anything but success is an error with what it said.
pub fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let output = support::run_with_timeout(command, limit)?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits for a child's end; one that doesn't come is killed, and an error.
pub fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let status = until(limit, "a process' end", || Ok(child.try_wait()?));
    if status.is_err() {
        child.kill().ok();
        child.wait().ok();
    }
    status
}

/// Asks every few milliseconds until there is an answer.
pub fn until<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} for {what} in vain");
        }
        thread::sleep(Duration::from_millis(5));
    }
}
