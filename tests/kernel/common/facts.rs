//! What is in recordings and profiles, as plain sets.

use anyhow::{Context as _, Result};
use seccomp_trace::{
    abi::Abi,
    recording::{Origin, Recording, Syscall},
};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

/// The ABI of 64-bit programs here.
pub const NATIVE: Abi = Abi::HOST[0];

/// A set of names.
pub fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn syscalls(recording: &Recording, abi: Abi, origin: Origin) -> impl Iterator<Item = &Syscall> {
    let all = recording.syscalls.get(&abi).into_iter().flatten();
    all.filter(move |syscall| syscall.origins.contains(&origin))
}

/// The names of an ABI's calls of this origin.
pub fn names(recording: &Recording, abi: Abi, origin: Origin) -> BTreeSet<String> {
    syscalls(recording, abi, origin).filter_map(|syscall| syscall.name.clone()).collect()
}

/// The numbers of an ABI's calls by the application.
pub fn numbers(recording: &Recording, abi: Abi) -> BTreeSet<u32> {
    syscalls(recording, abi, Origin::Application).map(|syscall| syscall.number).collect()
}

/// Does this kernel preempt programs at raw tracepoints of system calls?
pub fn preempts() -> Result<bool> {
    let name = "trace_call_bpf_faultable";
    Ok(std::fs::read("/sys/kernel/btf/vmlinux")?.windows(name.len()).any(|found| found == name.as_bytes()))
}

/// Reads JSON.
pub fn json(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no JSON", path.display()))
}

/// The names that an OCI profile allows.
pub fn allowed(profile: &Value) -> BTreeSet<String> {
    let rules = profile["syscalls"].as_array().into_iter().flatten();
    rules.filter(|rule| rule["action"] == "SCMP_ACT_ALLOW").flat_map(|rule| strings(&rule["names"])).collect()
}

/// The architectures that an OCI profile lists.
pub fn architectures(profile: &Value) -> BTreeSet<String> {
    strings(&profile["architectures"]).collect()
}

fn strings(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned))
}
