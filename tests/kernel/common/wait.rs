//! Waiting for what can be seen, never for a time.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Looks every few milliseconds until `look` returns something; an error after a minute, which is long in a virtual machine, too.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("{what}: not in a minute");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process is gone, or dead and not yet waited for.
pub fn has_ended(pid: u32) -> bool {
    !std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
