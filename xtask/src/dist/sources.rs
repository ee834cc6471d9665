//! The sources: when they were made, and a copy of them, with what is built of other people's.

use super::output;
use crate::architecture::Architecture;
use crate::cargo;
use anyhow::{Context as _, Result};
use std::path::Path;
use std::process::Command;

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org), or when the last commit was made.
pub fn time(root: &Path) -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => {
            let log = output(Command::new("git").arg("-C").arg(root).args(["log", "-1", "--format=%ct"]));
            String::from_utf8(
                log.context("outside of git, set SOURCE_DATE_EPOCH to the seconds since 1970")?,
            )?
        }
    };
    text.trim().parse().with_context(|| format!("SOURCE_DATE_EPOCH is no number of seconds: {text:?}"))
}

/// Copies the files that git knows, as they are now, and those that it would take.
pub fn copy(root: &Path, to: &Path) -> Result<()> {
    let git = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let files = output(Command::new("git").arg("-C").arg(root).args(git))?;
    for file in files.split(|byte| *byte == 0).filter(|file| !file.is_empty()) {
        let file = Path::new(std::str::from_utf8(file)?);
        let (from, to) = (root.join(file), to.join(file));
        // A file that was removed and not committed is no source.
        let Ok(data) = from.symlink_metadata() else { continue };
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let copied = if data.is_symlink() {
            std::fs::read_link(&from).and_then(|target| std::os::unix::fs::symlink(target, &to))
        } else {
            std::fs::copy(&from, &to).map(drop)
        };
        copied.with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// Copies what was built for these machines, without what was built of our own sources.
pub fn copy_dependencies(root: &Path, to: &Path, targets: &[Architecture]) -> Result<()> {
    std::fs::create_dir_all(to.join("target"))?;
    for folder in targets.iter().map(|target| target.triple()).chain(["release"]) {
        let from = root.join("target").join(folder);
        output(Command::new("cp").arg("--archive").arg(from).arg(to.join("target")))?;
    }
    let mut clean = cargo::cargo();
    clean.current_dir(to).env_remove("CARGO_TARGET_DIR").args(["clean", "--quiet", "--locked", "--release"]);
    for package in ["seccomp-trace", "seccomp-trace-common"] {
        clean.args(["--package", package]);
    }
    for target in targets {
        clean.args(["--target", target.triple()]);
    }
    output(&mut clean).map(drop)
}
