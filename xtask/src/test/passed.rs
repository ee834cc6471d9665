//! Which parts have passed on this very commit with these very tools: they need not be run again.

use super::tier::Tier;
use crate::cargo;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Programs of which another version may make another outcome.
const TOOLS: [&[&str]; 9] = [
    &["rustc", "--version"],
    &["uname", "--kernel-release"],
    &["dockerd", "--version"],
    &["podman", "--version"],
    &["containerd", "--version"],
    &["runc", "--version"],
    &["crun", "--version"],
    &["strace", "--version"],
    &["systemctl", "--version"],
];

/// What is kept of a part that passed.
#[derive(Deserialize, Serialize)]
struct Passed {
    /// The sources and the tools.
    of: String,
    /// What came out.
    outcome: String,
}

/// What came out when a part passed before; none where it did not, or the sources or tools are others.
pub fn look(part: &str, tier: Tier) -> Option<String> {
    let text = fs::read_to_string(path(part, tier)).ok()?;
    let passed: Passed = serde_json::from_str(&text).ok()?;
    (passed.of == state()?).then(|| format!("passed before on this commit: {}", passed.outcome))
}

/// Keeps that a part has passed. Of sources that are not committed nothing is kept.
pub fn keep(part: &str, tier: Tier, outcome: &str) -> Result<()> {
    let Some(of) = state() else { return Ok(()) };
    let path = path(part, tier);
    fs::create_dir_all(path.parent().unwrap_or(&path)).context("cannot make a folder in target")?;
    let text = serde_json::to_string(&Passed { of, outcome: outcome.to_owned() })?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn path(part: &str, tier: Tier) -> PathBuf {
    cargo::root().join("target/passed").join(format!("{part}-{}.json", tier.name()))
}

/// The tree of the sources, where all is committed, and the versions of the tools.
fn state() -> Option<String> {
    if !git(&["status", "--porcelain"])?.is_empty() {
        return None;
    }
    let tools = TOOLS.iter().map(|words| output(words).unwrap_or_default());
    Some([git(&["rev-parse", "HEAD^{tree}"])?].into_iter().chain(tools).collect::<Vec<_>>().join("\n"))
}

fn git(words: &[&str]) -> Option<String> {
    output(&[&["git"], words].concat())
}

/// The stdout of a program of the workspace's folder; none where it fails.
fn output(words: &[&str]) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let output = Command::new(program).args(arguments).current_dir(cargo::root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
