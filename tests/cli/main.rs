//! The command line as a plain user meets it: no root, no BPF, no engine.
//!
//! One module a subject:
//! - `support`: the harness of the other suites, which tests itself here.

#[path = "../support/mod.rs"]
mod support;
