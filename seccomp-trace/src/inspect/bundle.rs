//! The seccomp profile that a container really came with: resolved, as its runtime read it from its bundle's config.json
//! (opencontainers/runtime-spec, config-linux.md). No engine is asked: who made the container's cgroup is its runtime, and
//! who its process' parent is (containerd's shim, conmon) was started in the bundle, or by its path.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use procfs::process::Process;
use serde_json::Value;

/// In bytes: far above any configuration.
const LARGEST: u64 = 16 << 20;

/// The syscalls that a container's profile allows, or denies, for some arguments only, by the bundle of this process.
/// None where it has none, is gone already, or is no runtime.
#[must_use]
pub fn conditional_calls(process: i32) -> Option<BTreeSet<String>> {
    let process = Process::new(process).ok()?;
    let argv = process.cmdline().ok()?;
    let proc = PathBuf::from(format!("/proc/{}", process.pid));
    let folder = match bundle(&argv) {
        // As that process sees it: an engine may have a file system of its own.
        Some(path) if path.is_absolute() => proc.join("root").join(path.strip_prefix("/").ok()?),
        Some(path) => proc.join("cwd").join(path),
        None => proc.join("cwd"),
    };
    let mut text = Vec::new();
    // A pipe in its place must not hold us up.
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(folder.join("config.json"))
        .ok()
        .filter(|file| file.metadata().is_ok_and(|its| its.is_file()))?;
    file.take(LARGEST).read_to_end(&mut text).ok()?;
    conditional(&serde_json::from_slice(&text).ok()?)
}

/// As [`conditional_calls`], of a container's own first process: its parent watches over it.
#[must_use]
pub fn conditional_calls_of(init: i32) -> Option<BTreeSet<String>> {
    conditional_calls(Process::new(init).and_then(|process| process.stat()).ok()?.ppid)
}

/// What `--bundle` says, as runc, crun, youki and conmon have it.
fn bundle(argv: &[String]) -> Option<&Path> {
    argv.iter().enumerate().find_map(|(at, word)| match word.as_str() {
        "--bundle" | "-b" => argv.get(at + 1).map(Path::new),
        word => word.strip_prefix("--bundle=").map(Path::new),
    })
}

/// The names in rules with arguments.
fn conditional(config: &Value) -> Option<BTreeSet<String>> {
    let rules = config.pointer("/linux/seccomp/syscalls")?.as_array()?;
    let has_arguments = |rule: &&Value| rule["args"].as_array().is_some_and(|args| !args.is_empty());
    let names = rules.iter().filter(has_arguments).filter_map(|rule| rule["names"].as_array()).flatten();
    Some(names.filter_map(Value::as_str).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_with_arguments_are_found() {
        let config = serde_json::json!({ "linux": { "seccomp": { "syscalls": [
            { "names": ["read", "clone"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["personality", "socket"], "args": [{ "index": 0, "value": 8 }] },
            { "names": ["write"], "args": null },
            { "names": ["close"], "args": [] },
            { "names": ["clone"], "args": [{}] },
        ] } } });
        let names = ["clone", "personality", "socket"].map(str::to_owned);
        assert_eq!(conditional(&config), Some(names.into()));
        assert_eq!(conditional(&serde_json::json!({ "linux": {} })), None);
    }

    #[test]
    fn a_bundle_is_found_in_a_command_line() {
        let of = |line: &str| {
            bundle(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).map(Path::to_path_buf)
        };
        assert_eq!(of("runc --root /r create --bundle /run/x --pid-file p id"), Some("/run/x".into()));
        assert_eq!(of("conmon --api-version 1 -c id -b /var/userdata -p p"), Some("/var/userdata".into()));
        assert_eq!(of("crun run --bundle=b id"), Some("b".into()));
        assert_eq!(of("runc run id"), None);
        assert_eq!(of("runc run -b"), None);
    }
}
