//! One test of `tests/engines` that measures or shows something, and writes it where a variable says.

use crate::{cargo, host};
use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Runs it as root, with all of `needs` at hand: what the machine lacks is a failure, and no skip.
pub fn run(test: &str, variable: &str, path: &OsStr, needs: &str) -> Result<()> {
    if host::privilege() != host::Privilege::Root {
        bail!("containers are traced as root alone; type the same as root");
    }
    let features = "seccomp-trace/test-kernel,seccomp-trace/test-engines,seccomp-trace/test-dist";
    let program =
        cargo::executable(&["test", "--no-run", "--test", "engines", "--features", features], "engines")?;
    let package = cargo::root().join("seccomp-trace");
    let mut tests = Command::new(program);
    tests.args(["--exact", test]).current_dir(&package).env("CARGO_MANIFEST_DIR", &package);
    tests.env(variable, path).env("SECCOMP_TRACE_REQUIRE", needs).stdin(Stdio::null());
    let status = tests.status().context("cannot start the tests of engines")?;
    if !status.success() {
        bail!("the test {test} failed ({status}); nothing is written");
    }
    Ok(())
}
