//! Debian packages: which of them are missing, and the steps that install them.

use crate::host;
use crate::plan::{Plan, Step};
use crate::programs::{find_program, is_static};
use anyhow::{Result, bail};
use std::process::Command;

/// What the tests run (by its path where it has to be Debian's own), and the package it is in on Debian 12. Told by the program, not by the package: another
/// vendor's Docker must not be replaced.
const FOR_TESTS: [(&str, &str); 14] = [
    ("dockerd", "docker.io"),
    ("docker-compose", "docker-compose"),
    ("podman", "podman"),
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("crun", "crun"),
    ("strace", "strace"),
    ("debootstrap", "debootstrap"),
    ("busybox", "busybox-static"),
    ("gcc", "gcc"),
    ("curl", "curl"),
    ("systemctl", "systemd"),
    ("/usr/bin/python3", "python3"),
    ("tmux", "tmux"),
];

/// What those of the full tier run besides.
const FOR_FULL: [(&str, &str); 4] = [
    ("/usr/bin/stress-ng", "stress-ng"),
    ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15"),
    ("/usr/sbin/nginx", "nginx-light"),
    ("lintian", "lintian"),
];

/// What virtual machines need on this one.
const FOR_MACHINES: [(&str, &str); 5] = [
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf"),
    ("x86_64-linux-gnu-gcc", "gcc"),
    ("cpio", "cpio"),
    ("dpkg", "dpkg"),
];

/// The C library of the other machine: its compiler only recommends it.
const CROSS_LIBRARY: &str = "libc6-dev-arm64-cross";

/// The packages that the tests of a commit need and that are missing here.
pub fn missing_for_tests() -> Vec<&'static str> {
    missing_of(&FOR_TESTS)
}

/// The same of all tests.
pub fn missing_for_all_tests() -> Vec<&'static str> {
    [missing_of(&FOR_TESTS), missing_of(&FOR_FULL)].concat()
}

/// The same of virtual machines.
pub fn missing_for_machines() -> Vec<&'static str> {
    // No program tells whether this one is here.
    [missing_of(&FOR_MACHINES), missing(&[CROSS_LIBRARY])].concat()
}

/// The same of a compiler for another machine alone.
pub fn missing_for_cross(compiler: &str) -> Vec<&'static str> {
    let needed = FOR_MACHINES.into_iter().filter(|(program, _)| [compiler, "dpkg"].contains(program));
    [missing_of(&needed.collect::<Vec<_>>()), missing(&[CROSS_LIBRARY])].concat()
}

fn missing_of(wanted: &[(&str, &'static str)]) -> Vec<&'static str> {
    wanted.iter().filter(|(program, _)| !is_usable(program)).map(|(_, package)| *package).collect()
}

/// Installs Debian's packages, on Debian 12.
pub fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !host::is_debian_12() {
        bail!("not here: {}; only on Debian 12 they are installed from its packages", packages.join(", "));
    }
    let mut plan = Plan::default();
    plan.apt(packages);
    plan.carry_out()
}

fn is_usable(program: &str) -> bool {
    match find_program(program) {
        // The test containers hold this file and nothing else.
        Some(path) if program == "busybox" => is_static(&path),
        found => found.is_some(),
    }
}

/// Those of `packages` that dpkg doesn't have installed.
pub fn missing(packages: &[&'static str]) -> Vec<&'static str> {
    let format = "--showformat=${Package} ${db:Status-Status}\n";
    let listed = Command::new("dpkg-query")
        .args(["--show", format])
        .args(packages)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let installed = |package: &str| listed.lines().any(|line| line == format!("{package} installed"));
    packages.iter().copied().filter(|package| !installed(package)).collect()
}

impl Plan {
    /// Adds the installation of Debian's `packages`.
    pub fn apt(&mut self, packages: &[&str]) {
        if packages.is_empty() {
            return;
        }
        let packages = packages.join(" ");
        self.installs.push(format!("Debian packages: {packages}"));
        // One dead source in the machine's list must not stop us.
        self.steps.push(Step { optional: true, ..Step::root("apt-get update") });
        self.steps
            .push(Step::root(&format!("DEBIAN_FRONTEND=noninteractive apt-get install --yes {packages}")));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_dynamic_program_is_not_static() {
        assert!(!super::is_static(std::path::Path::new("/proc/self/exe")));
        assert!(!super::is_static(std::path::Path::new("/nonexistent")));
    }
}
