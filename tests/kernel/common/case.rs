//! The place of one test: a folder for its files, and a cgroup in which seccomp-trace is started, so that what it
//! leaves behind can't be taken for another test's.

use super::Cgroup;
use crate::support::{self, Running};
use anyhow::{Context as _, Result, ensure};
use seccomp_trace::recording::Recording;
use serde_json::Value;
use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// No run of a test takes so long, in a virtual machine on a busy one either.
pub const LIMIT: Duration = Duration::from_secs(120);

/// See the module.
pub struct TestEnv {
    pub folder: TempDir,
    pub home: Cgroup,
}

impl TestEnv {
    pub fn new() -> Result<Self> {
        Ok(Self { folder: support::temp_dir()?, home: Cgroup::create()? })
    }

    /// A file of the test's folder.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Where [`Self::run`] writes the profile.
    pub fn profile_path(&self) -> PathBuf {
        self.folder.path().join("profile.json")
    }

    /// The profile that was written.
    pub fn profile(&self) -> Result<Value> {
        super::json(&self.profile_path())
    }

    /// The recording that was written.
    pub fn recording(&self) -> Result<Recording> {
        Ok(Recording::read(&self.folder.path().join("recording.json"))?)
    }

    /// Any command line, in the test's cgroup, without stdin.
    pub fn command(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 0 >\"$1\" && shift && exec \"$@\"", "sh", &self.home.procs()]);
        command.args(words).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// seccomp-trace, in the test's cgroup.
    pub fn program(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = self.command([support::program().get_program()]);
        command.args(args);
        command
    }

    /// `seccomp-trace run` with profile and recording in the test's folder.
    pub fn run_command(&self, options: &[&str], command: &[&str]) -> Command {
        self.program(self.run_words(options, command))
    }

    /// The command line of seccomp-trace, handed to a shell script as its arguments; `$0` is the program.
    pub fn in_script(&self, script: &str, args: &[impl AsRef<OsStr>]) -> Command {
        let program = support::program().get_program().to_owned();
        let mut command = self.command(["sh", "-c", script]);
        command.args([&program, &program]).args(args);
        command
    }

    /// The words of [`Self::run_command`] without the program.
    pub fn run_words(&self, options: &[&str], command: &[&str]) -> Vec<String> {
        let (profile, recording) = (self.file("profile.json"), self.file("recording.json"));
        let places = ["run", "-o", &profile, "--recording", &recording];
        [&places, options, &["--"], command].concat().into_iter().map(str::to_owned).collect()
    }

    /// Runs that to its end, and looks whether anything was left behind.
    pub fn run(&self, options: &[&str], command: &[&str]) -> Result<Output> {
        self.finish(self.start(options, command)?)
    }

    /// Starts that.
    pub fn start(&self, options: &[&str], command: &[&str]) -> Result<Running> {
        Running::start(&mut self.run_command(options, command))
    }

    /// Waits for its end, and looks whether anything was left behind.
    pub fn finish(&self, running: Running) -> Result<Output> {
        let output = running.finish(LIMIT)?;
        self.is_clean().with_context(|| stderr(&output))?;
        Ok(output)
    }

    /// No cgroup of a run, no checkpoint and no half file is left.
    pub fn is_clean(&self) -> Result<()> {
        let left = self.home.below();
        ensure!(left.is_empty(), "cgroups are left: {left:?}");
        let half: Vec<_> = self
            .files()?
            .into_iter()
            .filter(|name| name.ends_with(".partial") || name.starts_with('.'))
            .collect();
        ensure!(half.is_empty(), "files are left: {half:?}");
        Ok(())
    }

    /// The names in the test's folder, sorted.
    pub fn files(&self) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.folder.path())?;
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }
}

/// What a program printed on stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The program ended with this exit code, and its stderr has all of these words.
pub fn expect(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let said = stderr(output);
    ensure!(output.status.code() == Some(code), "{:?} and not {code}: {said}", output.status);
    for word in words {
        ensure!(said.contains(word), "{word:?} is not in: {said}");
    }
    Ok(())
}
