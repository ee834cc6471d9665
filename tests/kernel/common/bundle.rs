//! A bundle for runc or crun, with one program alone.

use super::TestEnv;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Makes the test's folder `bundle`: `program` is moved into it, and starts under `profile` in `cgroup`. `process` is added to the
/// process' configuration.
pub fn bundle(case: &TestEnv, program: &str, process: Value, profile: Value, cgroup: &str) -> Result<()> {
    let root = case.folder.path().join("bundle/rootfs");
    for folder in ["proc", "dev", "sys"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let name = Path::new(program).file_name().context("no program")?;
    fs::rename(program, root.join(name))?;
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": [format!("/{}", name.display())], "cwd": "/", "env": ["PATH=/"],
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
            "cgroupsPath": cgroup,
            "seccomp": profile,
        },
    });
    let into = config["process"].as_object_mut().context("no process")?;
    into.extend(process.as_object().cloned().unwrap_or_default());
    Ok(fs::write(case.file("bundle/config.json"), config.to_string())?)
}
