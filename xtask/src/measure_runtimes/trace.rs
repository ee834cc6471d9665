//! seccomp-trace while it records: one recording a cgroup, with a COMMAND that says when it is ready.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Records until it is ended.
pub struct Trace {
    child: Child,
}

/// What one start has shown.
#[derive(Debug)]
pub struct Start {
    /// The container's cgroup.
    pub cgroup: String,
    /// The day, such as `2026-01-31`.
    pub date: String,
    /// The kernel's release.
    pub kernel: String,
    /// What the runtime called with the filter loaded.
    pub calls: BTreeSet<String>,
}

impl Trace {
    /// Begins; what is then started in one of `cgroups` is recorded into `folder` from its first call.
    pub fn begin(program: &Path, cgroups: &[String], folder: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["record", "--quiet", "--recording-dir"]).arg(folder);
        command.args(cgroups.iter().flat_map(|cgroup| ["--cgroup", cgroup]));
        // It is started when all is traced, and ends when its stdin does.
        command.args(["--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        if let Some(stdin) = &mut child.stdin {
            // Where it has ended already, it says why itself.
            let _ = stdin.write_all(b"ready\n");
        }
        let mut answer = String::new();
        if let Some(stdout) = &mut child.stdout {
            BufReader::new(stdout).read_line(&mut answer)?;
        }
        if answer != "ready\n" {
            bail!("seccomp-trace does not record ({})", child.wait()?);
        }
        Ok(Self { child })
    }

    /// Ends it.
    pub fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if !status.success() {
            bail!("seccomp-trace has ended with {status}");
        }
        Ok(())
    }
}

/// Reads all recordings in `folder`.
pub fn read(folder: &Path) -> Result<Vec<Start>> {
    let mut starts = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let read = || start(&serde_json::from_slice(&fs::read(&path)?)?);
        starts.push(read().with_context(|| format!("cannot use {}", path.display()))?);
    }
    Ok(starts)
}

fn start(recording: &Value) -> Result<Start> {
    let text = |pointer: &str| {
        let value = recording.pointer(pointer).and_then(Value::as_str);
        value.map(str::to_owned).with_context(|| format!("there is no {pointer}"))
    };
    if text("/boundary/method")? != "filter" {
        bail!("the runtime loaded no filter");
    }
    let calls = recording.pointer("/syscalls/x86_64").and_then(Value::as_array);
    let by_runtime = |call: &&Value| {
        let origins = call.get("origins").and_then(Value::as_array);
        origins.is_some_and(|origins| origins.iter().any(|origin| origin == "runtime"))
    };
    let calls = calls.into_iter().flatten().filter(by_runtime);
    let name = |call: &Value| call.get("name")?.as_str().map(str::to_owned);
    Ok(Start {
        cgroup: text("/target/path")?,
        date: text("/start")?.chars().take_while(|c| *c != 'T').collect(),
        kernel: text("/host/kernel")?,
        calls: calls.map(|call| name(call).context("a call has no name")).collect::<Result<_>>()?,
    })
}
