//! `cargo xtask run -- ARGS`: builds the program, and becomes it.

use crate::build;
use crate::host::as_root;
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

/// The arguments of `cargo xtask run`.
#[derive(clap::Args)]
pub struct Args {
    /// The arguments of seccomp-trace.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// What the program reads of its caller's environment, and sudo would drop.
const ENVIRONMENT: [&str; 10] = [
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "CONTAINER_HOST",
    "CONTAINERD_ADDRESS",
    "NO_COLOR",
    "RUST_LOG",
    "RUST_BACKTRACE",
];

/// Builds the program, after a setup where something is missing, and runs it in place of this process: as root,
/// and through sudo where we aren't. Returns only on an error.
pub fn run(args: &Args) -> Result<ExitCode> {
    // As the tests are built, and sooner than a release: `cargo xtask build` makes that.
    let program = build::program(false)?;
    let mut command = as_root(&program, &ENVIRONMENT).with_context(|| {
        format!(
            "seccomp-trace needs root, and here is neither root nor a usable sudo; as root, type: {}",
            program.display()
        )
    })?;
    let error = command.args(&args.arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_hands_over_what_the_readme_says_engines_are_found_by() {
        let readme = std::fs::read_to_string(crate::cargo::root().join("README.md")).unwrap();
        let is_variable = |word: &&str| {
            word.contains('_') && word.bytes().all(|letter| letter == b'_' || letter.is_ascii_uppercase())
        };
        // Elsewhere there are capabilities, which look the same.
        let (_, engines) = readme.split_once("\n## Engines").unwrap();
        let (engines, _) = engines.split_once("\n## ").unwrap();
        let said: Vec<_> = engines.split('`').filter(is_variable).collect();
        assert!(said.len() >= 3, "{said:?}");
        assert!(said.iter().all(|name| ENVIRONMENT.contains(name)));
    }
}
