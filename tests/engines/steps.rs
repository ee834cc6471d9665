//! Containers that take steps: into other cgroups, and through calls that nothing else makes.

use std::fs;

use anyhow::{Context as _, Result};
use seccomp_trace::inspect::cgroup::Hierarchy;
use tempfile::TempDir;

use crate::container_matrix::command;
use crate::recorder::{Container, IMAGE, PATIENCE, docker, image};
use crate::support::{self, Need, compile};

/// What such containers need.
pub const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Cc];

/// Numbers of calls that nothing else makes.
pub const GETITIMER: i64 = libc::SYS_getitimer;
/// See above.
pub const GETPRIORITY: i64 = libc::SYS_getpriority;
/// See above.
pub const GETSID: i64 = libc::SYS_getsid;

/// The steps of who is out: calls of its own, and of a child that executes something.
pub fn outside(meanwhile: &str) -> String {
    format!("call {GETITIMER} {meanwhile} fork call {GETPRIORITY} exec call {GETSID}")
}

/// The names of these calls.
pub const OUTSIDE: [&str; 3] = ["getitimer", "getpriority", "getsid"];

/// The program, and the profile of exact tracing.
pub struct Place {
    folder: TempDir,
    root: String,
}

impl Place {
    /// Compiles the one and writes the other.
    pub fn new() -> Result<Self> {
        let folder = support::temp_dir()?;
        compile::static_with_libc(folder.path(), "steps", include_str!("steps.c"))?;
        let profile = command::output(support::program().arg("tracing-profile"), PATIENCE)?;
        fs::write(folder.path().join("tracing.json"), profile)?;
        let root = Hierarchy::find()?.directory("/").display().to_string();
        image()?;
        Ok(Self { folder, root })
    }

    /// Starts a container that takes these steps. `{}` in options and steps is this folder; it has that at this path, too, and
    /// as `/s`.
    pub fn start(&self, container: &Container, options: &[&str], steps: &str) -> Result<()> {
        let words = self.words(container, options, steps)?;
        docker(&words.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
    }

    /// Docker's words for that.
    pub fn words(&self, container: &Container, options: &[&str], steps: &str) -> Result<Vec<String>> {
        let place = self.folder.path().to_str().context("not UTF-8")?;
        let cgroups = format!("{}:/cg", self.root);
        let (short, same) = (format!("{place}:/s"), format!("{place}:{place}"));
        let run = ["run", "--detach", "--network", "none", "--name", &container.name];
        let volumes = ["--volume", &cgroups, "--volume", &short, "--volume", &same];
        let options = options.iter().map(|option| option.replace("{}", place));
        let steps = steps.replace("{}", place);
        let words = run.into_iter().chain(volumes).map(str::to_owned).chain(options);
        let program = [IMAGE, "/s/steps"].into_iter().chain(steps.split_whitespace()).map(str::to_owned);
        Ok(words.chain(program).collect())
    }

    /// Makes a file that a step waits for.
    pub fn say(&self, name: &str) -> Result<()> {
        Ok(fs::write(self.folder.path().join(name), "")?)
    }
}
