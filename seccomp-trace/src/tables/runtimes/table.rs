//! The layout of `runtimes.json`, and nothing else: `cargo xtask measure-runtimes`, which rewrites the file, has
//! this module too.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// `runtimes.json`: everything in it, also for the tool that rewrites it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeTable {
    /// What the file is, for who opens it.
    pub about: String,
    /// The sets, by runtime, version and variant.
    pub sets: Vec<RuntimeSet>,
}

/// The calls of one runtime of one version, for one way to start a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeSet {
    /// The runtime: `runc`, `crun`.
    pub runtime: String,
    /// Its version, such as `1.1.5`, without a distribution's suffix.
    pub version: String,
    /// How the container is started.
    pub variant: Variant,
    /// Where the set is known from.
    pub origin: DataOrigin,
    /// How many starts were watched, where known.
    pub runs: Option<u32>,
    /// The syscalls by name (x86_64), each with the number of starts that made it, where known.
    pub calls: BTreeMap<String, Option<u32>>,
}

/// How a container is started, as far as it changes what the runtime calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// As root, with Docker's default options.
    Default,
    /// With another user (`docker run --user`).
    User,
    /// With `--security-opt no-new-privileges`.
    NoNewPrivileges,
}

/// Where a set is known from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataOrigin {
    /// Measured by `cargo xtask measure-runtimes`, which may rewrite it.
    Measured {
        /// The day, such as `2026-01-31`.
        date: String,
        /// The kernel's release.
        kernel: String,
        /// The engine and its version, such as `docker 20.10.24`; `none` where the runtime was called by itself.
        engine: String,
    },
    /// Written by hand.
    Documented {
        /// From what.
        source: String,
    },
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Variant::Default => "default",
            Variant::User => "user",
            Variant::NoNewPrivileges => "no-new-privileges",
        })
    }
}
