//! The named parts of the tests: what a commit needs, and all that is run before something is called done.

use super::suite::{Scope, Suite};
use super::tally::Tally;
use super::tier::Tier;
use crate::{cargo, vm};
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

/// No part takes longer on two processors; one that does is to be divided.
pub const LONGEST: Duration = Duration::from_secs(30 * 60);

/// One part.
#[derive(Debug)]
pub struct Part {
    /// Its name, as `--part` takes it.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Where it is run.
    pub place: Place,
    what: What,
}

/// In which runs a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In both: of a commit, and, with more turns, of `--full`.
    Both,
    /// Of a commit: `--full` has the same in larger parts.
    Commit,
    /// Of `--full`.
    Full,
}

/// What a part runs.
#[derive(Debug)]
enum What {
    Suite(Suite),
    /// The suite of engines, for one engine.
    Engine(&'static str),
    /// Kernels in virtual machines, and the tests whose names contain one of these; without any, all.
    Machines(&'static [&'static str], &'static [&'static str]),
    /// A task of xtask, which says by its status whether it passed.
    Task(&'static [&'static str]),
}

const fn part(name: &'static str, place: Place, what: What, about: &'static str) -> Part {
    Part { name, about, place, what }
}

/// All of them, in the order in which they are run.
pub const PARTS: [Part; 17] = [
    part("unit", Place::Both, What::Suite(Suite::Unit), "unit and documentation tests of all crates"),
    part("cli", Place::Both, What::Suite(Suite::Cli), "the command line, without root"),
    part("kernel", Place::Both, What::Suite(Suite::Kernel), "the kernel program on this kernel"),
    part("engines", Place::Commit, What::Suite(Suite::Engines), "every engine's main ways, with few starts"),
    part(
        "machines",
        Place::Commit,
        What::Machines(&["x86_64-6.1", "aarch64-6.1"], SMALLEST),
        "the oldest kernel and aarch64: does the kernel program load, record and name denials",
    ),
    part(
        "docker",
        Place::Full,
        What::Engine("docker"),
        "Docker, real programs and the static program's image",
    ),
    part("podman", Place::Full, What::Engine("podman"), "Podman"),
    part("containerd", Place::Full, What::Engine("containerd"), "containerd and Kubernetes' pods"),
    part(
        "machines-6.1",
        Place::Full,
        What::Machines(&["x86_64-6.1", "aarch64-6.1"], &[]),
        "the kernel suite on 6.1, x86_64 and aarch64",
    ),
    part(
        "machines-6.12",
        Place::Full,
        What::Machines(&["x86_64-6.12", "x86_64-6.18", "x86_64-5.10", "x86_64-6.12+lockdown"], &[]),
        "the kernel suite on 6.12 and 6.18, and what is refused",
    ),
    part(
        "machines-7.3",
        Place::Full,
        What::Machines(&["x86_64-7.3", "aarch64-7.3"], &[]),
        "the kernel suite on 7.3, x86_64 and aarch64",
    ),
    part(
        "minimality",
        Place::Full,
        What::Task(&["measure-minimality", "--check"]),
        "what containers do without each call of their profiles",
    ),
    part(
        "exactness",
        Place::Full,
        What::Task(&["measure-exactness", "--check"]),
        "recordings against strace, of real programs and of stress-ng's stressors",
    ),
    part("dist", Place::Full, What::Suite(Suite::Dist), "archives, packages and crates, made twice and used"),
    part(
        "bench",
        Place::Full,
        What::Task(&["bench", "--check"]),
        "no cost is half as much again as its target",
    ),
    part("fuzz", Place::Full, What::Task(&["fuzz"]), "readers of files from strangers, fuzzed"),
    part("lint", Place::Full, What::Task(&["lint"]), "unused dependencies, shell scripts"),
];

/// Tests that notice a kernel program that is broken on another kernel.
const SMALLEST: &[&str] = &[
    "exactly_the_calls_of_a_program_are_recorded",
    "recorded_from_its_filter_on",
    "is_moved_below",
    "an_errno_is_told",
    "a_killed_thread_is_told",
    "denied_32_bit",
];

impl Part {
    /// Is it part of a run of this tier?
    pub fn is_in(&self, tier: Tier) -> bool {
        match self.place {
            Place::Both => true,
            Place::Commit => tier == Tier::Commit,
            Place::Full => tier == Tier::Full,
        }
    }

    /// The tier with which it is run, where this one is asked for.
    pub fn tier(&self, asked: Tier) -> Tier {
        if self.place == Place::Full { Tier::Full } else { asked }
    }

    /// Whether it runs programs that `setup` doesn't install.
    pub fn needs_packages(&self) -> bool {
        match self.what {
            What::Suite(suite) => suite.needs_packages(),
            What::Engine(_) => true,
            What::Machines(..) | What::Task(_) => false,
        }
    }

    /// Runs it, and adds what came out to `tally`. A filter of names is for those that have tests.
    pub fn run(&self, tier: Tier, filter: &[OsString], tally: &mut Tally) -> Result<()> {
        let scope = |engine| Scope { tier: self.tier(tier), engine };
        match self.what {
            What::Suite(suite) => suite.run(scope(None), filter, tally),
            What::Engine(engine) => Suite::Engines.run(scope(Some(engine)), filter, tally),
            What::Machines(kernels, names) => {
                let kernels: Vec<_> = kernels.iter().map(|name| (*name).to_owned()).collect();
                let names: Vec<OsString> = names.iter().map(Into::into).collect();
                vm::run(&kernels, if filter.is_empty() { &names } else { filter }, false, tally)
            }
            What::Task(words) => {
                let mut task = cargo::cargo();
                task.arg("xtask").args(words).stdin(Stdio::null());
                let status = task.status().context("cannot start cargo")?;
                tally.count_task(self.name, status.success());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PARTS, Tier};

    #[test]
    fn names_are_unique_and_each_tier_has_parts() {
        for part in &PARTS {
            assert_eq!(PARTS.iter().filter(|other| other.name == part.name).count(), 1, "{}", part.name);
        }
        for tier in [Tier::Commit, Tier::Full] {
            assert!(PARTS.iter().any(|part| part.is_in(tier) && part.name == "kernel"), "{tier:?}");
        }
    }
}
