//! The OCI bundle that is started: a static busybox, and a configuration of what this kind of machine can do.

use super::way::Way;
use crate::programs;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Docker's default capabilities, without those for devices and the network. Neither these nor the configuration
/// ask for resource limits: raising them needs CAP_SYS_RESOURCE.
const CAPABILITIES: [&str; 9] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A folder in which bundles are made, with their common root file system.
pub struct Bundles {
    folder: PathBuf,
    seccomp: Value,
}

impl Bundles {
    /// Makes the root file system. `seccomp` is the filter that every container gets.
    pub fn new(folder: &Path, seccomp: Value) -> Result<Self> {
        let busybox =
            programs::find_program("busybox").context("there is no busybox; install busybox-static")?;
        let rootfs = folder.join("rootfs");
        for directory in ["bin", "dev", "proc", "tmp"] {
            fs::create_dir_all(rootfs.join(directory))?;
        }
        fs::copy(&busybox, rootfs.join("bin/busybox"))
            .with_context(|| format!("cannot copy {}", busybox.display()))?;
        symlink("busybox", rootfs.join("bin/true"))?;
        Ok(Self { folder: folder.to_owned(), seccomp })
    }

    /// Makes the bundle of one container, which runs `true` in `cgroup`, and returns its folder.
    pub fn make(&self, id: &str, way: Way, cgroup: &str) -> Result<PathBuf> {
        let bundle = self.folder.join(id);
        fs::create_dir(&bundle)?;
        fs::write(bundle.join("config.json"), self.config(way, cgroup).to_string())?;
        Ok(bundle)
    }

    fn config(&self, way: Way, cgroup: &str) -> Value {
        let capabilities = match way.user {
            0 => json!({ "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES }),
            // As Docker gives them to another user.
            _ => json!({ "bounding": CAPABILITIES }),
        };
        let namespaces: Vec<_> =
            ["ipc", "mount", "pid", "uts"].into_iter().map(|kind| json!({ "type": kind })).collect();
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "args": ["true"],
                "cwd": "/",
                "env": ["PATH=/bin"],
                "user": { "uid": way.user, "gid": way.user },
                "noNewPrivileges": way.no_new_privileges,
                "capabilities": capabilities,
            },
            "root": { "path": self.folder.join("rootfs") },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
            ],
            "linux": { "cgroupsPath": cgroup, "namespaces": namespaces, "seccomp": self.seccomp },
        })
    }
}
