//! `cargo xtask build`: builds the program, and prints where it is.

use crate::{cargo, setup};
use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::path::PathBuf;

/// The arguments of `cargo xtask build`.
#[derive(clap::Args)]
pub struct Args {
    /// Builds without optimisation.
    #[arg(long)]
    debug: bool,
}

/// Builds the program, after a setup where something is missing.
pub fn run(args: &Args) -> Result<()> {
    let program = program(!args.debug)?;
    writeln!(std::io::stdout(), "{}", program.display()).context("cannot write to stdout")
}

/// Builds the program, and returns its path.
pub fn program(release: bool) -> Result<PathBuf> {
    setup::ensure()?;
    let mut arguments = vec!["build", "--package", "seccomp-trace"];
    arguments.extend(release.then_some("--release"));
    cargo::executable(&arguments, "seccomp-trace")
}
