//! A runtime of this machine: which it is, and how it starts a container.

use super::way::Way;
use crate::programs;
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any start takes.
const LIMIT: Duration = Duration::from_secs(20);

/// A runtime.
pub struct Runtime {
    /// Its name: `runc`.
    pub name: &'static str,
    /// Its version, without a distribution's suffix.
    pub version: String,
    path: PathBuf,
}

impl Runtime {
    /// Finds one; none where it isn't here.
    pub fn find(name: &'static str) -> Result<Option<Self>> {
        let Some(path) = programs::find_program(name) else { return Ok(None) };
        let output = Command::new(&path).arg("--version").output();
        let output = output.with_context(|| format!("cannot start {}", path.display()))?;
        let version = version(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| format!("{} --version names no version", path.display()))?;
        Ok(Some(Self { name, version, path }))
    }

    /// Starts a container, and returns when its command has ended.
    pub fn start(&self, id: &str, bundle: &Path, way: Way) -> Result<()> {
        let bundle = bundle.to_str().context("the folder's name is not UTF-8")?;
        if !way.in_two_steps {
            return self.call(&["run", "--bundle", bundle, id]).map(drop);
        }
        self.call(&["create", "--bundle", bundle, id])?;
        self.call(&["start", id])?;
        let end = Instant::now() + LIMIT;
        while !self.call(&["state", id])?.contains("\"stopped\"") {
            if Instant::now() > end {
                bail!("{} {id} does not end", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.call(&["delete", id]).map(drop)
    }

    /// Calls the runtime where cgroup v2 alone is mounted: crun refuses a host with v1 beside it.
    fn call(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg("mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"").arg("sh").arg(&self.path);
        // Through files: the container inherits its runtime's streams, and lives longer.
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let status = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .status()
            .context("cannot start unshare")?;
        if !status.success() {
            bail!("{} {}: {status}: {}", self.name, arguments.join(" "), text(stderr)?.trim());
        }
        text(stdout)
    }
}

fn text(mut file: File) -> Result<String> {
    let mut text = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut text))
        .context("cannot read a runtime's output back")?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `1.1.5` of `runc version 1.1.5+ds1`.
fn version(output: &str) -> Option<String> {
    let (_, version) = output.lines().next()?.split_once(" version ")?;
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    version
        .get(..end)
        .map(|version| version.trim_end_matches('.').to_owned())
        .filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_version_is_told_from_its_distribution() {
        assert_eq!(version("runc version 1.1.5+ds1\ncommit: x\n").as_deref(), Some("1.1.5"));
        assert_eq!(version("crun version 1.28\ncommit: x\n").as_deref(), Some("1.28"));
        assert_eq!(version("runc version 1.3.0-rc.1\n").as_deref(), Some("1.3.0"));
        assert_eq!(version("runc version unknown\n"), None);
        assert_eq!(version(""), None);
    }
}
