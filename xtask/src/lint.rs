//! `cargo xtask lint`: the linters that take long to build, or that look at what the compiler does not.

use crate::{cargo, packages};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// cargo's, each with its version and arguments. They are installed below `target`.
const CARGO: [(&str, &str, &[&str]); 1] = [("cargo-machete", "0.9.2", &["--skip-target-dir"])];
/// What shells run.
const SCRIPTS: [&str; 2] = [".ci/run", "xtask/src/vm/init.sh"];

/// Runs all of them. The status is 1 where one finds something.
pub fn run() -> Result<ExitCode> {
    let root = cargo::root().join("target/linters");
    let mut found = Vec::new();
    for (name, version, arguments) in CARGO {
        install(name, version, &root)?;
        let mut linter = Command::new(root.join("bin").join(name));
        if !succeeds(linter.args(arguments))? {
            found.push(name);
        }
    }
    packages::install(&packages::missing(&["shellcheck"]))?;
    if !succeeds(Command::new("shellcheck").args(SCRIPTS))? {
        found.push("shellcheck");
    }
    if found.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("failed: {}", found.join(", "));
    Ok(ExitCode::FAILURE)
}

fn install(name: &str, version: &str, root: &Path) -> Result<()> {
    let mut install = cargo::cargo();
    install.args(["install", "--locked", "--version", version, "--root"]).arg(root).arg(name);
    if !succeeds(&mut install)? {
        bail!("{name} {version} can't be installed");
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> Result<bool> {
    let name = command.get_program().display().to_string();
    let status = command.current_dir(cargo::root()).stdin(Stdio::null()).status();
    Ok(status.with_context(|| format!("cannot start {name}"))?.success())
}
