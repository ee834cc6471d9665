//! The command line as a plain user meets it: no root, no BPF, no engine. One module a subject:
//!
//! - `places`: where results may go
//! - `manual`: completions and man pages
//! - `performance_document`: the README has what docs/performance.json has
//! - `portable_document`: docs/portable.md is the table of `--portable`
//! - `profile`: generate and tracing-profile, from files to files
//! - `recording_format`: the recording's schema, its document, and its versions
//! - `security_document`: docs/security.md names tests that there are
//! - `watch_format`: the schema of the lines of `--watch-format json`, and their document
//! - `support`: the harness of the other suites, which tests itself here

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod manual;
mod performance_document;
mod places;
mod portable_document;
mod profile;
mod recording_format;
mod security_document;
#[path = "../support/mod.rs"]
mod support;
mod watch_format;

use assert_cmd::Command;

/// The program, without the environment's wishes about colours.
fn seccomp_trace() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seccomp-trace"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// A committed file.
fn fixture(name: &str) -> String {
    format!("{}/../tests/cli/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}
