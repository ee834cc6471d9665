//! Reading a recording (docs/recording-format.md), independently of the program's own types.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::calls::{Abi, Calls};

/// The calls in a recording that lost nothing, and saw the command from its exec on, however it found that (`method`).
pub fn read(json: &[u8], method: &str) -> Result<Calls> {
    let recording: Recording = serde_json::from_slice(json).context("the recording")?;
    let Recording { boundary, lost, .. } = &recording;
    ensure!(boundary.method == method && !boundary.attached_late, "the recording's boundary: {boundary:?}");
    ensure!(lost.syscalls == 0 && lost.task_origins == 0, "the recording has lost something: {lost:?}");
    let mut calls = Calls::new();
    for (abi, list) in recording.syscalls {
        for call in list {
            calls.insert((abi, call.number), call.name);
        }
    }
    Ok(calls)
}

#[derive(Deserialize)]
struct Recording {
    boundary: Boundary,
    lost: Lost,
    syscalls: BTreeMap<Abi, Vec<Recorded>>,
}

#[derive(Debug, Deserialize)]
struct Boundary {
    method: String,
    attached_late: bool,
}

#[derive(Debug, Deserialize)]
struct Lost {
    syscalls: u64,
    task_origins: u64,
}

#[derive(Deserialize)]
struct Recorded {
    number: u32,
    name: Option<String>,
}
