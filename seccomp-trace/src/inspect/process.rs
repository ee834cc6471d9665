//! One process: its seccomp state.

use procfs::process::Process;

/// The seccomp filters that a process's main thread has loaded; `None` where it is gone.
/// `/proc/PID/status` says so from Linux 5.9 on.
#[must_use]
pub fn filters(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")?.trim().parse().ok())
}

/// Signals that this process ignores, as a mask: bit 0 is signal 1.
#[must_use]
pub fn ignored_signals() -> u64 {
    Process::myself().and_then(|process| process.status()).map_or(0, |status| status.sigign)
}
