//! Why a syscall is in a profile.

use std::fmt;

use crate::recording::{FilterAction, Origin};

/// Why a syscall is in a profile. The order is that in which reasons are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It was seen.
    Seen(Origin),
    /// It depends on the moment: [`crate::tables::always`] has the reason.
    Always(&'static str),
    /// A runtime calls it when it starts a container.
    RuntimeStart {
        /// The runtime.
        runtime: &'static str,
        /// Its version.
        version: &'static str,
    },
    /// A filter denied it while it was recorded: so does the profile, with the same errno, or `--allow-denied` lets
    /// it in.
    Denied(FilterAction),
    /// The program's own filter hands it to a supervisor or a tracer, whom a denial of the container's filter would precede.
    Supervised,
    /// It stands for one that is allowed, on another machine: [`crate::tables::portable`] has the reason.
    Portable(&'static str),
    /// clone was seen and clone3 was not: glibc tries clone3 first, and takes clone only when it is
    /// told that there is no clone3 (ENOSYS).
    CloneFallback,
}

impl Reason {
    /// True for what was seen; false for what the profile adds to it.
    pub fn is_seen(&self) -> bool {
        matches!(self, Reason::Seen(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Seen(Origin::Runtime) => f.write_str("seen: made by the runtime at the start"),
            Reason::Seen(Origin::Application) => f.write_str("seen: made by the application"),
            Reason::Seen(Origin::Joined) => f.write_str("seen: made by a process that joined later"),
            Reason::Always(reason) => write!(f, "always: {reason}"),
            Reason::RuntimeStart { runtime, version } => {
                write!(f, "{runtime} {version} needs it to start a container")
            }
            Reason::Denied(action) => write!(f, "denied while it was recorded ({action})"),
            Reason::Supervised => f.write_str("answered by the program's own supervisor"),
            Reason::Portable(reason) => write!(f, "portable: {reason}"),
            Reason::CloneFallback => {
                f.write_str("ENOSYS, so that glibc, which tries clone3 first, falls back to clone")
            }
        }
    }
}
