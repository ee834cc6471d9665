//! `seccomp-trace record` beside a test, and small containers for it to record. Every wait is for a condition, and
//! bounded; everything is gone when the values are.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use seccomp_trace::recording::{Origin, Recording};
use seccomp_trace::tables::always::ALWAYS;
use serde_json::Value;
use tempfile::TempDir;

use crate::container_matrix::command::{self, until};
use crate::container_matrix::container::unused_name;
use crate::support;

/// An image with a busybox, which the tests make where it is missing.
pub const IMAGE: &str = "seccomp-trace-test-busybox";
/// Longer than any one step takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `seccomp-trace record` with a folder for its files; killed when it goes out of scope.
pub struct Recorder {
    child: Child,
    folder: TempDir,
}

impl Recorder {
    /// Starts it; `{}` in an argument is the folder.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_with(arguments, &[])
    }

    /// Starts it with variables in its environment.
    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let folder = support::temp_dir()?;
        let place = folder.path().to_str().context("the folder is not UTF-8")?;
        let stream = |name: &str| File::create(folder.path().join(name));
        let child = support::program()
            .arg("record")
            .args(arguments.iter().map(|argument| argument.replace("{}", place)))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(stream("stdout")?)
            .stderr(stream("stderr")?)
            .spawn()
            .context("seccomp-trace can't be started")?;
        Ok(Self { child, folder })
    }

    /// Starts it, and returns once it is ready: what starts now is recorded from its first call.
    pub fn ready(arguments: &[&str]) -> Result<Self> {
        let mut recorder = Self::start(arguments)?;
        recorder.until_said("note: ready")?;
        Ok(recorder)
    }

    /// Waits until it has said this on stderr.
    pub fn until_said(&mut self, text: &str) -> Result<()> {
        until(PATIENCE, text, || {
            let has_ended = self.child.try_wait()?.is_some();
            let said = self.said();
            ensure!(said.contains(text) || !has_ended, "record has ended without {text:?}: {said}");
            Ok(said.contains(text).then_some(()))
        })
    }

    /// Its stderr so far.
    pub fn said(&self) -> String {
        fs::read(self.path("stderr"))
            .map_or_else(|error| error.to_string(), |text| String::from_utf8_lossy(&text).into_owned())
    }

    /// Fails the test where it did not say this.
    pub fn ensure_said(&self, text: &str) -> Result<()> {
        let said = self.said();
        ensure!(said.contains(text), "{text:?} is not in: {said}");
        Ok(())
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names of what it has written: `.json` files.
    pub fn written(&self) -> Result<BTreeSet<String>> {
        let names = fs::read_dir(self.folder.path())?
            .map(|file| Ok(file?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<BTreeSet<_>>>()?;
        Ok(names.into_iter().filter(|name| name.ends_with(".json")).collect())
    }

    /// A recording that it has written.
    pub fn recording(&self, name: &str) -> Result<Recording> {
        Recording::read(&self.path(name)).with_context(|| format!("it said: {}", self.said()))
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to it alone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        support::signal(Pid::from_child(&self.child), signal).context("record is gone")
    }

    /// Waits for its end, and fails where the exit code is another one.
    pub fn ends_with(&mut self, code: i32) -> Result<()> {
        let status = command::wait(&mut self.child, PATIENCE).with_context(|| self.said())?;
        let stdout = fs::read_to_string(self.path("stdout"))?;
        ensure!(status.code() == Some(code), "{status}, not {code}; it said: {}{stdout}", self.said());
        Ok(())
    }

    /// Waits until a signal has ended it.
    pub fn is_killed(&mut self) -> Result<()> {
        let status = command::wait(&mut self.child, PATIENCE)?;
        ensure!(status.code().is_none(), "{status}");
        Ok(())
    }

    /// Waits for its end; the exit code, none where a signal has ended it.
    pub fn status(&mut self) -> Result<Option<i32>> {
        Ok(command::wait(&mut self.child, PATIENCE).with_context(|| self.said())?.code())
    }

    /// Ctrl-C, and a good end.
    pub fn interrupt(&mut self) -> Result<()> {
        self.signal(Signal::INT)?;
        self.ends_with(0)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A container's name; the container is removed when it goes out of scope, if there is one.
pub struct Container {
    /// The name.
    pub name: String,
}

impl Container {
    /// A name that nobody has.
    pub fn named(what: &str) -> Self {
        Self { name: unused_name(what) }
    }

    /// Starts a shell with this script, and returns when it runs.
    pub fn start(&self, options: &[&str], script: &str) -> Result<()> {
        image()?;
        let run = ["run", "--detach", "--network", "none", "--name", &self.name];
        docker(&[&run, options, &[IMAGE, "sh", "-c", script]].concat()).map(drop)
    }

    /// Waits until its script has written this line.
    pub fn until_said(&self, line: &str) -> Result<()> {
        until(PATIENCE, line, || {
            Ok(docker(&["logs", &self.name])?.lines().any(|said| said == line).then_some(()))
        })
    }

    /// Waits for its end, and fails where the exit code is another one than 0.
    pub fn ends_well(&self) -> Result<()> {
        let code = docker(&["wait", &self.name])?;
        ensure!(code.trim() == "0", "{}: {code}{}", self.name, docker(&["logs", &self.name])?);
        Ok(())
    }

    /// Removes it now.
    pub fn remove(&self) -> Result<()> {
        docker(&["rm", "--force", &self.name]).map(drop)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove().ok();
    }
}

/// Docker's own command line.
pub fn docker(arguments: &[&str]) -> Result<String> {
    command::output(support::docker().args(arguments), PATIENCE)
}

/// Makes the image where it is missing, from the machine's own busybox.
pub fn image() -> Result<&'static str> {
    static MADE: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    let made = MADE.get_or_init(|| make_image().map_err(|error| format!("{error:#}")));
    made.clone().map_err(|error| anyhow::anyhow!(error))?;
    Ok(IMAGE)
}

fn make_image() -> Result<()> {
    if docker(&["image", "inspect", IMAGE]).is_ok() {
        return Ok(());
    }
    let folder = support::temp_dir()?;
    busybox(folder.path())?;
    let archive = folder.path().join("image.tar");
    let mut tar = std::process::Command::new("tar");
    command::output(
        tar.arg("--create").arg("--file").arg(&archive).arg("-C").arg(folder.path()).arg("bin"),
        PATIENCE,
    )?;
    docker(&["import", archive.to_str().context("not UTF-8")?, IMAGE]).map(drop)
}

/// Makes `bin` with a busybox and the names of all that it can do.
pub fn busybox(root: &Path) -> Result<()> {
    let program = support::find_program("busybox").context("there is no busybox")?;
    fs::create_dir_all(root.join("bin"))?;
    fs::copy(&program, root.join("bin/busybox"))?;
    let names = command::output(std::process::Command::new(program).arg("--list"), PATIENCE)?;
    for name in names.lines().filter(|name| *name != "busybox") {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
    }
    Ok(())
}

/// The names of the calls of one origin, or of all.
pub fn calls(recording: &Recording, origin: Option<Origin>) -> BTreeSet<&str> {
    let all = recording.syscalls.values().flatten();
    let of = |origins: &[Origin]| origin.is_none_or(|origin| origins.contains(&origin));
    all.filter(|call| of(&call.origins)).filter_map(|call| call.name.as_deref()).collect()
}

/// The calls by origin, but for what a runtime makes in some starts and not in others: what always has to be in.
pub fn steady_calls(recording: &Recording) -> BTreeSet<String> {
    let depends = |call: &str| ALWAYS.iter().any(|always| always.name == call);
    let of = |origin| {
        let steady = move |call: &&str| origin != Origin::Runtime || !depends(call);
        calls(recording, Some(origin))
            .into_iter()
            .filter(steady)
            .map(move |call| format!("{origin:?} {call}"))
    };
    [Origin::Runtime, Origin::Application, Origin::Joined].into_iter().flat_map(of).collect()
}

/// Fails where one of `expected` is missing, or one of `unwanted` is there.
pub fn ensure_calls(
    recording: &Recording,
    origin: Origin,
    expected: &[&str],
    unwanted: &[&str],
) -> Result<()> {
    let calls = calls(recording, Some(origin));
    let missing: Vec<_> = expected.iter().filter(|call| !calls.contains(*call)).collect();
    let wrong: Vec<_> = unwanted.iter().filter(|call| calls.contains(*call)).collect();
    ensure!(
        missing.is_empty() && wrong.is_empty(),
        "{origin:?}: without {missing:?}, with {wrong:?}: {calls:?}"
    );
    Ok(())
}

/// The profile without one call; an error where it isn't in.
pub fn without(profile: &str, call: &str) -> Result<String> {
    let mut profile: Value = serde_json::from_str(profile).context("the profile is not JSON")?;
    let rules = profile["syscalls"].as_array_mut().context("a profile without rules")?;
    let mut taken = 0;
    for names in rules.iter_mut().filter_map(|rule| rule["names"].as_array_mut()) {
        let before = names.len();
        names.retain(|name| name != call);
        taken += before - names.len();
    }
    if taken == 0 {
        bail!("the profile has no {call}");
    }
    // runc refuses a rule without names.
    rules.retain(|rule| rule["names"].as_array().is_none_or(|names| !names.is_empty()));
    Ok(profile.to_string())
}
