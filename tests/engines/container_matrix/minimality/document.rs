//! The layout of `docs/minimality.json`, and nothing else: `cargo xtask measure-minimality`, which renders it, has this module too.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `docs/minimality.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minimality {
    /// What the file is, for who opens it.
    pub about: String,
    /// The day, such as `2026-01-31`.
    pub date: String,
    /// The kernel's release.
    pub kernel: String,
    /// The engine and its version, such as `docker 20.10.24`.
    pub engine: String,
    /// The low-level runtime and its version, such as `runc 1.1.5`.
    pub runtime: String,
    /// How often a container had to work the same without a call for it to be tolerated.
    pub starts: usize,
    /// Each program's container.
    pub programs: Vec<Program>,
}

/// One program's container, and its profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its Debian package and version, such as `nginx-light 1.22.1-9`.
    pub version: String,
    /// Each call of the profile, by name.
    pub calls: BTreeMap<String, Call>,
}

/// A call of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// What its rule says.
    pub rule: Rule,
    /// What is without it.
    pub effect: Effect,
    /// What was seen without it, the first time; none where it is tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Why it is in, as `--verbose` says it.
    pub reasons: Vec<String>,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The call is allowed.
    Allow,
    /// It gets an error of its own.
    Errno,
}

/// What the container does without a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It does not start, ends on the way, or ends with another exit code.
    Fatal,
    /// It starts and runs, and what it answers or prints is not the same, or nothing at all.
    ChangesBehaviour,
    /// It works the same, each time.
    Tolerated,
}
