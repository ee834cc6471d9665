//! Where it is measured.

use crate::document::Machine;
use anyhow::{Context as _, Result};
use seccomp_trace::inspect::host::host;
use std::{fs, thread};

pub fn describe() -> Result<Machine> {
    let info = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let processor = model.and_then(|model| model.split_once(": ")).map_or("not told", |(_, name)| name);
    Ok(Machine {
        kernel: host().kernel,
        processor: processor.trim().to_owned(),
        processors: thread::available_parallelism()?.get(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
