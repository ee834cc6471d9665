//! The image of the tests, and that of a pod's sandbox: both are this machine's busybox.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::container_matrix::command;
use crate::recorder::{PATIENCE, busybox};

/// The image of containers.
pub const IMAGE: &str = "docker.io/library/seccomp-trace-test:1";
/// The image of sandboxes.
pub const PAUSE: &str = "docker.io/library/seccomp-trace-pause:1";

/// Writes an archive of both, as `docker save` does it.
pub fn make(folder: &Path, archive: &str) -> Result<()> {
    let folder = folder.join("image");
    busybox(&folder.join("root"))?;
    let tar = |name: &str, from: &Path, what: &[&str]| {
        let mut tar = Command::new("tar");
        command::output(tar.args(["--create", "--file", name, "-C"]).arg(from).args(what), PATIENCE)
    };
    let layer = folder.join("layer.tar").display().to_string();
    tar(&layer, &folder.join("root"), &["bin"])?;
    let digest = command::output(Command::new("sha256sum").arg(&layer), PATIENCE)?;
    let digest = digest.split_whitespace().next().context("no digest")?;
    let mut manifest = Vec::new();
    for (name, command) in [(IMAGE, ["sh"].as_slice()), (PAUSE, &["sleep", "1000000"])] {
        let config = format!("{}.json", command[0]);
        let content = json!({
            "architecture": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
            "os": "linux",
            "config": { "Cmd": command, "Env": ["PATH=/bin"] },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
        });
        fs::write(folder.join(&config), content.to_string())?;
        manifest.push(json!({ "Config": config, "RepoTags": [name], "Layers": ["layer.tar"] }));
    }
    fs::write(folder.join("manifest.json"), json!(manifest).to_string())?;
    tar(archive, &folder, &["manifest.json", "layer.tar", "sh.json", "sleep.json"]).map(drop)
}
