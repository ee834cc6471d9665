//! The Debian package, by cargo-deb: what it holds stands in seccomp-trace/Cargo.toml.

use super::build::Build;
use super::output;
use crate::cargo;
use crate::plan::{Plan, Step};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOOL: &str = "cargo-deb";
const VERSION: &str = "3.8.0";
/// How its `--version` begins where it is good enough.
const SUITABLE: &[u8] = b"cargo-deb 3.";
/// Where seccomp-trace/Cargo.toml says that the files are: the stage, and a changelog as Debian has it.
const CONTENTS: &str = "deb";
const CHANGELOG: &str = "changelog.Debian";
const MANIFEST: &str = include_str!("../../../seccomp-trace/Cargo.toml");
/// Of the package, not of the program.
const REVISION: &str = "1";

/// Installs cargo-deb where it is missing.
pub fn ensure_tool() -> Result<()> {
    let found = Command::new(TOOL).arg("--version").output();
    if found.is_ok_and(|found| found.stdout.starts_with(SUITABLE)) {
        return Ok(());
    }
    let mut plan = Plan::default();
    plan.installs.push(format!("{TOOL} {VERSION}, built by cargo"));
    // Its default features would build liblzma, and the program xz is on every Debian.
    plan.steps.push(Step::user(&format!(
        "cargo install {TOOL} --version {VERSION} --locked --no-default-features"
    )));
    plan.carry_out()
}

/// Makes the package of what is staged, and returns its path.
pub fn make(build: &Build, stage: &Path, folder: &Path) -> Result<PathBuf> {
    let contents = folder.join(CONTENTS);
    output(Command::new("cp").arg("--archive").arg(stage).arg(&contents))?;
    let version = format!("{}-{REVISION}", env!("CARGO_PKG_VERSION"));
    let changelog = changelog(&version, build.time)?;
    fs::write(contents.join(CHANGELOG), changelog).context("cannot write Debian's changelog")?;
    let package = folder.join(format!("seccomp-trace_{version}_{}.deb", build.target.debian()));
    let mut command = cargo::cargo();
    command.current_dir(build.root).env("SOURCE_DATE_EPOCH", build.time.to_string());
    command.args(["deb", "--no-build", "--no-strip", "--locked", "--package", "seccomp-trace"]);
    command.args(["--target", build.target.triple(), "--deb-revision", REVISION]);
    output(command.arg("--output").arg(&package))?;
    fs::remove_dir_all(&contents).with_context(|| format!("cannot remove {}", contents.display()))?;
    Ok(package)
}

/// One entry, which says where the whole is (deb-changelog(5)).
fn changelog(version: &str, time: u64) -> Result<String> {
    let date = output(Command::new("date").args(["--utc", "--rfc-email", "--date"]).arg(format!("@{time}")))?;
    let maintainer = MANIFEST.lines().find_map(|line| line.strip_prefix("maintainer = ")?.split('"').nth(1));
    let maintainer = maintainer.context("seccomp-trace/Cargo.toml has no maintainer")?;
    Ok(format!(
        "seccomp-trace ({version}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {maintainer}  {}\n",
        String::from_utf8(date)?.trim()
    ))
}
