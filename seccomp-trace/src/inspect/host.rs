//! The kernel's version and our own privileges.

use procfs::process::Process;

use super::HostError;
use crate::recording::Host;

/// `bpf_loop` came last of what the kernel program needs (kernel commit e6f2dd0f8067); on aarch64 compare-exchange did
/// (1902472b4fa9).
pub(super) const OLDEST_KERNEL: (u32, u32) = if cfg!(target_arch = "aarch64") { (5, 18) } else { (5, 17) };

/// Loading the program needs the first two; the cgroup files and other users' processes the others.
/// Numbers: include/uapi/linux/capability.h.
const NEEDED: [(&str, u32); 4] =
    [("CAP_BPF", 39), ("CAP_PERFMON", 38), ("CAP_DAC_OVERRIDE", 1), ("CAP_SYS_PTRACE", 19)];

/// The machine, as a recording names it.
#[must_use]
pub fn host() -> Host {
    let uname = rustix::system::uname();
    Host {
        kernel: uname.release().to_string_lossy().into_owned(),
        architecture: uname.machine().to_string_lossy().into_owned(),
    }
}

/// Can this host trace at all? Looks at kernel and privileges, in this order.
///
/// # Errors
/// The first thing that is missing.
pub fn check() -> Result<(), HostError> {
    let release = host().kernel;
    if version(&release).is_some_and(|version| version < OLDEST_KERNEL) {
        return Err(HostError::Kernel { release });
    }
    let missing = missing_capabilities(Process::myself()?.status()?.capeff);
    if !missing.is_empty() {
        return Err(HostError::Privilege { missing });
    }
    // The first process of a PID namespace is alone in it.
    if std::process::id() == 1 { Err(HostError::OwnProcesses) } else { Ok(()) }
}

/// Are we in a container, as its image or its engine says by the variable `container` (systemd's Container Interface)?
#[must_use]
pub fn is_in_container() -> bool {
    std::env::var_os("container").is_some_and(|value| !value.is_empty())
}

/// How to get the capabilities that are missing.
pub(super) fn remedy(missing: &[&str]) -> String {
    if !is_in_container() {
        return "run it as root (sudo seccomp-trace …)".to_owned();
    }
    let all: Vec<_> =
        missing.iter().map(|name| format!("--cap-add={}", name.trim_start_matches("CAP_"))).collect();
    let is_split = |name: &&str| matches!(*name, "CAP_BPF" | "CAP_PERFMON");
    // Docker 20.10 knows neither of the two.
    let older = if missing.iter().any(is_split) { "; or --cap-add=SYS_ADMIN, which has both" } else { "" };
    format!("run this container as root with {}{older}", all.join(" "))
}

/// CAP_SYS_ADMIN (21) stands for the two that were split from it.
fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective & (1 << bit) != 0;
    NEEDED
        .into_iter()
        .filter(|(_, bit)| !(has(*bit) || matches!(bit, 38 | 39) && has(21)))
        .map(|(name, _)| name)
        .collect()
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("5.4.0"), Some((5, 4)));
        assert!(version("5.4.0") < Some(OLDEST_KERNEL));
        assert!(version("5.18.0-rc1") >= Some(OLDEST_KERNEL));
        assert_eq!(version("strange"), None);
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(missing_capabilities(0), ["CAP_BPF", "CAP_PERFMON", "CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"]);
        assert_eq!(missing_capabilities(1 << 21 | 1 << 1), ["CAP_SYS_PTRACE"]);
        assert!(missing_capabilities(u64::MAX).is_empty());
    }
}
