//! The profile: what is allowed, under which ABIs, and why each name is in. Made from recordings by
//! pure functions: the same input gives the same profile. Nothing here reads files or prints.

mod build;
mod reason;
mod seen;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};

pub use build::{ProfileError, build, has_application};
pub use reason::Reason;
pub use warnings::{Warning, told};

use crate::abi::Abi;
use crate::tables::runtimes::{self, RuntimeSet};

/// EPERM: what a denied call returns.
pub const EPERM: u32 = 1;
/// ENOSYS: what a call returns that the kernel doesn't have.
pub const ENOSYS: u32 = 38;

/// An allowlist of syscalls. Its rules name syscalls, and a name counts under every ABI listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The errno that a call gets which has no rule: [`EPERM`].
    pub default_errno: u32,
    /// The ABIs from which calls may come; a call from another one kills the process.
    pub architectures: BTreeSet<Abi>,
    /// The syscalls allowed, each with every reason for it.
    pub allowed: BTreeMap<String, BTreeSet<Reason>>,
    /// The syscalls denied with an errno of their own; never one that is allowed.
    pub errno: BTreeMap<String, (u32, Reason)>,
    /// What an ABI may do only because another one needs it, by name; `socketcall(connect)` is what a rule for connect
    /// lets pass through socketcall.
    pub over_allowed: BTreeMap<Abi, BTreeSet<String>>,
}

/// What the user decides about a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which runtimes must be able to start a container under it.
    pub runtimes: Runtimes,
    /// Leaves out what only joined processes made: `docker exec`, health checks. What anybody else made too stays.
    pub exclude_joined: bool,
    /// Allows what the containers' profiles denied while it was recorded. A program's own filter's denials stay out.
    pub allow_denied: bool,
    /// Adds what another C library, kernel or machine would call instead.
    pub portable: bool,
}

/// Which runtimes must be able to start a container under the profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Runtimes {
    /// Every one that we know, of every version.
    #[default]
    All,
    /// None: no runtime's calls are added to what was seen.
    Exact,
    /// These: `runc` is its every version, `runc-1.1.5` that one.
    Named(Vec<String>),
}

/// No runtime is called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no start-up calls are known of a runtime {name:?}; known are: all, exact, {}", known.join(", "))]
pub struct UnknownRuntime {
    /// The name asked for.
    pub name: String,
    /// The names that there are.
    pub known: Vec<String>,
}

impl Runtimes {
    /// The sets of start-up calls that are meant.
    ///
    /// # Errors
    /// Where a name is unknown: the message lists those that there are.
    pub fn sets(&self) -> Result<Vec<&'static RuntimeSet>, UnknownRuntime> {
        match self {
            Runtimes::All => Ok(runtimes::sets().iter().collect()),
            Runtimes::Exact => Ok(Vec::new()),
            Runtimes::Named(names) => {
                let mut sets = Vec::new();
                for name in names {
                    let found = runtimes::find(name);
                    if found.is_empty() {
                        return Err(UnknownRuntime { name: name.clone(), known: runtimes::names() });
                    }
                    sets.extend(found);
                }
                Ok(sets)
            }
        }
    }
}

#[cfg(test)]
mod tests;
