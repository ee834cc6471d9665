//! Reading the host: kernel, privileges, cgroups. Changes nothing.

pub mod bundle;
pub mod cgroup;
pub mod host;
pub mod libseccomp;
pub mod process;
pub mod unit;

use thiserror::Error;

/// Why this host, now, can't trace. Each message says what to do.
#[derive(Debug, Error)]
pub enum HostError {
    /// The kernel is too old.
    #[error("kernel {release} is too old: seccomp-trace needs 5.15 or newer")]
    Kernel {
        /// As `uname -r` prints it.
        release: String,
    },
    /// Capabilities are missing.
    #[error("not enough privilege to trace: missing {}; run it as root (sudo seccomp-trace …)", missing.join(", "))]
    Privilege {
        /// The capabilities that are not effective.
        missing: Vec<&'static str>,
    },
    /// There is no cgroup v2.
    #[error(
        "no cgroup v2 hierarchy is mounted; seccomp-trace finds containers by it: mount one (mount -t cgroup2 none DIR), or boot with systemd.unified_cgroup_hierarchy=1"
    )]
    NoCgroup2,
    /// `/proc` can't be read.
    #[error("/proc can't be read: {0}")]
    Proc(#[from] procfs::ProcError),
}
