//! Running a host command with a time limit: a test that hangs tells nobody why.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// What a command said and how it ended.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs `command` to its end and takes both its streams; its status is the caller's to judge.
pub fn finish(command: &mut Command, limit: Duration) -> Result<Finished> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} can't be started", program(command)))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child, limit).with_context(|| format!("{command:?}"))?;
    Ok(Finished { status, stdout: stdout.join().unwrap_or_default(), stderr: stderr.join().unwrap_or_default() })
}

/// Runs `command` and gives its standard output; anything but success is an error with what it said.
pub fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let finished = finish(command, limit)?;
    if !finished.status.success() {
        bail!("{command:?}: {}\n{}", finished.status, String::from_utf8_lossy(&finished.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
}

/// Waits for a child's end; one that doesn't come is killed, and an error.
pub fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let status = until(limit, "the command's end", || Ok(child.try_wait()?));
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

/// Reads a stream to its end on a thread of its own, so that no pipe fills up.
pub fn drain(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes).ok();
        }
        bytes
    })
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
