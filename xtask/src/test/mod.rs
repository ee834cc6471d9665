//! `cargo xtask test`: every test there is, and an honest count.
//!
//! Nothing is silently green: a test that can't run here is named with its reason, and a suite that doesn't
//! build or dies on the way counts as a failure.

mod suite;
mod tally;

use crate::plan::Plan;
use crate::{host, packages, setup};
use anyhow::Result;
use std::ffi::OsString;
use std::process::ExitCode;
use suite::Suite;
use tally::Tally;

/// The arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Runs only these.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SUITES")]
    only: Vec<Suite>,
    /// Runs only the tests whose name contains this; further arguments go to the test programs too.
    #[arg(last = true)]
    filter: Vec<OsString>,
}

/// Runs the tests. The last line has the totals alone; the status is 1 where a test failed.
pub fn run(args: &Args) -> Result<ExitCode> {
    setup::ensure()?;
    let suites = if args.only.is_empty() { Suite::ALL.to_vec() } else { args.only.clone() };
    if suites.iter().any(|suite| suite.needs_packages()) {
        install_packages();
    }
    let mut tally = Tally::default();
    for suite in suites {
        eprintln!("\n=== {suite}");
        suite.run(&args.filter, &mut tally)?;
    }
    tally.print(&mut std::io::stdout())?;
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs what the tests need and is missing. That is no failure where it can't be: the tests that need it
/// are then skipped, by name.
fn install_packages() {
    let missing = packages::missing_for_tests();
    if missing.is_empty() {
        return;
    }
    if !host::is_debian_12() {
        eprintln!("warning: not here, so that tests will be skipped: {}", missing.join(", "));
        return;
    }
    let mut plan = Plan::default();
    plan.apt(&missing);
    if let Err(error) = plan.carry_out() {
        eprintln!("warning: some tests will be skipped: {error:#}");
    }
}
