//! `cargo xtask test`: the tests of a commit, or all there are, in named parts, and an honest count.
//!
//! Nothing is silently green: a test that can't run here is named with its reason, a suite that doesn't build or dies on
//! the way counts as a failure, a test that passes only when it is run again is counted apart, and what a run leaves out is named.

mod part;
mod passed;
mod suite;
mod tally;
#[path = "../../../tests/support/tier.rs"]
#[expect(dead_code, reason = "the harness has the other half")]
mod tier;

use crate::{packages, setup, vm};
use anyhow::{Context as _, Result, bail};
use part::{LONGEST, PARTS, Part, Place};
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tier::Tier;

pub use suite::SELECTION;
pub use tally::Tally;

/// The arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Runs all tests, not only those of a commit. A part that passed on the same commit and tools is not run again.
    #[arg(long)]
    full: bool,
    /// Lists the parts, and runs nothing.
    #[arg(long)]
    list: bool,
    /// Runs only these parts.
    #[arg(long, alias = "only", value_delimiter = ',', value_name = "NAME")]
    part: Vec<String>,
    /// Runs the tests of the kernel suite in virtual machines instead: with these kernels (`x86_64-6.1`, `6.1`, `x86_64`), or with all.
    #[arg(long, value_name = "KERNEL", num_args = 0.., conflicts_with_all = ["part", "full", "list"])]
    vm: Option<Vec<String>>,
    /// Writes what came out into the README's table of kernels.
    #[arg(long, requires = "vm")]
    write_table: bool,
    /// Runs only the tests whose name contains this; further arguments go to the test programs too.
    #[arg(last = true)]
    filter: Vec<OsString>,
}

/// Runs the tests. The last line has the totals alone; the status is 1 where a test failed.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        return list().map(|()| ExitCode::SUCCESS);
    }
    let tier = if args.full { Tier::Full } else { Tier::Commit };
    let parts = selected(tier, &args.part)?;
    setup::ensure()?;
    let mut tally = Tally::default();
    if let Some(kernels) = &args.vm {
        vm::run(kernels, &args.filter, args.write_table, &mut tally)?;
        return finish(&tally);
    }
    if parts.iter().any(|part| part.needs_packages()) {
        // A part of the full tier may be named by itself.
        let has_full = parts.iter().any(|part| part.tier(tier) == Tier::Full);
        install_packages(if has_full {
            packages::missing_for_all_tests()
        } else {
            packages::missing_for_tests()
        });
    }
    let mut took = Vec::new();
    for part in &parts {
        eprintln!("\n=== {}: {}", part.name, part.about);
        // What was named is run, and a run of some tests is no run of a part.
        let is_whole = args.filter.is_empty();
        if args.full
            && args.part.is_empty()
            && is_whole
            && let Some(before) = passed::look(part.name, part.tier(tier))
        {
            took.push(format!("{}: {before}", part.name));
            continue;
        }
        let began = Instant::now();
        let mut own = Tally::default();
        part.run(tier, &args.filter, &mut own)?;
        let line = format!("{} in {}", own.summary(), minutes(began.elapsed()));
        if is_whole && own.is_steady() {
            passed::keep(part.name, part.tier(tier), &line)?;
        }
        let too_long = if began.elapsed() > LONGEST { ", too long: divide it" } else { "" };
        took.push(format!("{}: {line}{too_long}", part.name));
        tally.add(own);
    }
    let mut out = std::io::stdout();
    let is_left = |part: &&Part| !parts.iter().any(|its| its.name == part.name);
    let left: Vec<_> = PARTS.iter().filter(is_left).map(|part| part.name).collect();
    writeln!(out, "\n{}", took.join("\n")).context("cannot write to stdout")?;
    if !left.is_empty() {
        writeln!(out, "not run: {} (cargo xtask test --full runs all)", left.join(", "))
            .context("cannot write to stdout")?;
    }
    finish(&tally)
}

/// The parts of a tier, or those that are named.
fn selected(tier: Tier, names: &[String]) -> Result<Vec<&'static Part>> {
    if let Some(unknown) = names.iter().find(|name| !PARTS.iter().any(|part| part.name == *name)) {
        let known: Vec<_> = PARTS.iter().map(|part| part.name).collect();
        bail!("there is no part {unknown}; there are {}", known.join(", "));
    }
    let is_meant = |part: &Part| {
        if names.is_empty() { part.is_in(tier) } else { names.iter().any(|name| name == part.name) }
    };
    Ok(PARTS.iter().filter(|part| is_meant(part)).collect())
}

fn list() -> Result<()> {
    let tiers = |part: &Part| match part.place {
        Place::Both => "commit, full",
        Place::Commit => "commit",
        Place::Full => "full",
    };
    let lines: String =
        PARTS.iter().map(|part| format!("{:14} {:13} {}\n", part.name, tiers(part), part.about)).collect();
    write!(std::io::stdout(), "{lines}").context("cannot write to stdout")
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02} minutes", time.as_secs() / 60, time.as_secs() % 60)
}

fn finish(tally: &Tally) -> Result<ExitCode> {
    tally.print(&mut std::io::stdout())?;
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs what the tests need and is missing. That is no failure where it can't be: the tests that need it
/// are then skipped, by name.
fn install_packages(missing: Vec<&str>) {
    if let Err(error) = packages::install(&missing) {
        eprintln!("warning: some tests will be skipped: {error:#}");
    }
}
