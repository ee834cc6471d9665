//! Making a program's profile: `seccomp-trace record` beside it, while it is exercised.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::command;
use super::container::{Container, Start, unused_name};
use super::programs::{Outcome, Program};
use crate::support;

/// What the tracer says on standard error once a container that starts now is seen from its first call.
const READY: &str = ": ready:";
const PATIENCE: Duration = Duration::from_secs(30);

/// What recording a program gave.
pub struct Recorded {
    /// The profile, as it was written.
    pub profile: String,
    /// The recording, as it was written.
    pub recording: String,
    /// The recording's calls, by name.
    pub calls: BTreeSet<String>,
    /// What the exercise saw while it was recorded.
    pub outcome: Outcome,
}

/// The recording of `program` that several tests start from, made by the first one of them.
pub fn shared(program: &'static Program) -> Result<&'static Recorded> {
    let made = || record(program, &[]).map_err(|error| format!("{error:#}"));
    program.recorded.get_or_init(made).as_ref().map_err(|error| anyhow!("{error}"))
}

/// Records `program` from its first call to its end, under the tracing profile.
pub fn record(program: &Program, options: &[&'static str]) -> Result<Recorded> {
    let folder = support::temp_dir()?;
    let tracing = folder.path().join("tracing.json");
    let printed = command::output(support::program().arg("tracing-profile"), PATIENCE)?;
    fs::write(&tracing, printed)?;
    record_under(program, options, Some(&tracing))
}

/// The same under another profile; under Docker's default without one.
pub fn record_under(program: &Program, options: &[&'static str], under: Option<&Path>) -> Result<Recorded> {
    let folder = support::temp_dir()?;
    let (profile, recording) = (folder.path().join("profile.json"), folder.path().join("recording.json"));
    let name = unused_name("recorded");
    let tracer = Tracer::start(&name, &profile, &recording)?;
    let start = Start { name: Some(name), profile: under, options: [program.options, options].concat() };
    let container = Container::start(start, program.argv, PATIENCE)?;
    let outcome = (program.exercise)(&container)
        .with_context(|| format!("{} doesn't do its work while it is recorded", program.name))?;
    // The named container's removal is the end of the recording.
    drop(container);
    tracer.finish()?;
    let read = |file: &Path| {
        fs::read_to_string(file).with_context(|| format!("record ended well, but {}", file.display()))
    };
    let recording = read(&recording)?;
    Ok(Recorded { profile: read(&profile)?, calls: calls(&recording)?, recording, outcome })
}

/// The names of the calls in a recording, of all ABIs; one without a name is its number.
pub fn calls(recording: &str) -> Result<BTreeSet<String>> {
    let recording: Value = serde_json::from_str(recording).context("the recording is not JSON")?;
    let abis = recording["syscalls"].as_object().context("a recording without syscalls")?;
    let all = abis.values().filter_map(Value::as_array).flatten();
    let name = |call: &Value| call["name"].as_str().map_or_else(|| call["number"].to_string(), str::to_owned);
    Ok(all.map(name).collect())
}

/// A running `seccomp-trace record`, killed when it goes out of scope before its end.
struct Tracer {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Tracer {
    /// Returns once it is ready.
    fn start(container: &str, profile: &Path, recording: &Path) -> Result<Self> {
        let mut child = support::program()
            .args(["record", "--wait", "--container", container, "-o"])
            .arg(profile)
            .arg("--recording")
            .arg(recording)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("seccomp-trace can't be started")?;
        let stderr = BufReader::new(child.stderr.take().context("no standard error")?);
        let (says, said) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| says.send(line)));
        let tracer = Self { child, said };
        let deadline = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        loop {
            match tracer.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(READY) => return Ok(tracer),
                Ok(line) => lines.push(line),
                Err(_) => bail!("record doesn't become ready; it said:\n{}", lines.join("\n")),
            }
        }
    }

    /// Waits for its end, which has to be a good one.
    fn finish(mut self) -> Result<()> {
        let status = command::wait(&mut self.child, PATIENCE);
        let said = || self.said.iter().collect::<Vec<_>>().join("\n");
        let status = status.with_context(|| format!("record doesn't end; it said:\n{}", said()))?;
        if !status.success() {
            bail!("record: {status}; it said:\n{}", said());
        }
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
