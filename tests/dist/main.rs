//! What users are given, made as it is for them: `cargo xtask dist` and `cargo xtask package`, and what comes out of them
//! used. No root. Slow: everything is built from the sources, twice.
//!
//! - `package`: the crates
//! - `release`: archives, Debian packages, checksums

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod package;
mod release;
#[path = "../support/mod.rs"]
mod support;

use anyhow::{Result, ensure};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// For what compiles everything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1800);

fn main() -> ExitCode {
    support::main([release::tests(), package::tests()])
}

/// Runs a task, and returns what it prints: paths, one a line.
fn xtask(arguments: &[&str]) -> Result<Vec<String>> {
    let mut task = Command::new(cargo());
    task.args(["xtask"]).args(arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    Ok(output(&mut task)?.lines().map(str::to_owned).collect())
}

/// The stdout of `command`; anything but success is an error with what it said.
fn output(command: &mut Command) -> Result<String> {
    let output = support::run_with_timeout(command, PATIENCE)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The one of `paths` that ends so.
fn ending<'a>(paths: &'a [String], end: &str) -> Result<&'a Path> {
    let mut found = paths.iter().filter(|path| path.ends_with(end));
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(Path::new(path)),
        _ => anyhow::bail!("not one path ends with {end}: {paths:?}"),
    }
}
