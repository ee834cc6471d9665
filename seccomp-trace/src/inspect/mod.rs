//! Reading the host: kernel, privileges, cgroups. Changes nothing.

pub mod accounts;
pub mod cgroup;
pub mod host;
pub mod libseccomp;
pub mod process;
pub mod unit;

use std::path::PathBuf;

use thiserror::Error;

/// Why this host, now, can't trace. Each message says what to do.
#[derive(Debug, Error)]
pub enum HostError {
    /// The kernel is too old.
    #[error("kernel {release} is too old: seccomp-trace needs {}.{} or newer", host::OLDEST_KERNEL.0, host::OLDEST_KERNEL.1)]
    Kernel {
        /// As `uname -r` prints it.
        release: String,
    },
    /// Capabilities are missing.
    #[error("not enough privilege to trace: missing {}; {}", missing.join(", "), host::remedy(missing))]
    Privilege {
        /// The capabilities that are not effective.
        missing: Vec<&'static str>,
    },
    /// We are the first process of a container with a PID namespace of its own.
    #[error(
        "this container can't see the host's processes, and so not those of other containers; run it in the host's PID \
         namespace: --pid=host"
    )]
    OwnProcesses,
    /// There is no cgroup v2.
    #[error(
        "no cgroup v2 hierarchy is mounted; seccomp-trace finds containers by it: mount one (mount -t cgroup2 none DIR), or boot with systemd.unified_cgroup_hierarchy=1; in a container, add the host's: --cgroupns=host --volume=/sys/fs/cgroup:/sys/fs/cgroup:ro"
    )]
    NoCgroup2,
    /// A container sees itself alone.
    #[error(
        "only a part of the cgroup v2 hierarchy is visible here ({}): the cgroups of other containers can't be found; run \
         this container in the host's cgroup namespace and with its hierarchy: --cgroupns=host \
         --volume=/sys/fs/cgroup:/sys/fs/cgroup:ro", mount.display()
    )]
    PartOfCgroup2 {
        /// Where the part is mounted.
        mount: PathBuf,
    },
    /// `/proc` can't be read.
    #[error("/proc can't be read: {0}")]
    Proc(#[from] procfs::ProcError),
}
