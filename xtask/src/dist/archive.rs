//! The archive: the staged folder, without this machine's times, owners and order.

use super::build::Build;
use super::output;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packs the folder `stage`, and returns the archive's path.
pub fn make(build: &Build, stage: &Path, folder: &Path) -> Result<PathBuf> {
    let name = stage.file_name().context("a stage without a name")?;
    let tar = folder.join(name).with_added_extension("tar");
    output(
        Command::new("tar")
            .args(["--create", "--format=ustar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
            .arg(format!("--mtime=@{}", build.time))
            .arg("--mode=u=rwX,go=rX")
            .arg("--file")
            .arg(&tar)
            .arg("--directory")
            .arg(folder)
            .arg(name),
    )?;
    output(Command::new("gzip").args(["--no-name", "--best", "--force"]).arg(&tar))?;
    Ok(tar.with_added_extension("gz"))
}
