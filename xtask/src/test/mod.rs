//! `cargo xtask test`: every test there is, and an honest count.
//!
//! Nothing is silently green: a test that can't run here is named with its reason, and a suite that doesn't
//! build or dies on the way counts as a failure.

mod suite;
mod tally;

use crate::{packages, setup, vm};
use anyhow::Result;
use std::ffi::OsString;
use std::process::ExitCode;
use suite::Suite;

pub use suite::SELECTION;
pub use tally::Tally;

/// The arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Runs only these.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SUITES")]
    only: Vec<Suite>,
    /// Runs the tests of the kernel suite in virtual machines instead: with these kernels (`x86_64-6.1`, `6.1`, `x86_64`), or with all.
    #[arg(long, value_name = "KERNEL", num_args = 0.., conflicts_with = "only")]
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
    setup::ensure()?;
    let mut tally = Tally::default();
    if let Some(kernels) = &args.vm {
        vm::run(kernels, &args.filter, args.write_table, &mut tally)?;
        return finish(&tally);
    }
    let suites = if args.only.is_empty() { Suite::ALL.to_vec() } else { args.only.clone() };
    if suites.iter().any(|suite| suite.needs_packages()) {
        install_packages();
    }
    for suite in suites {
        eprintln!("\n=== {suite}");
        suite.run(&args.filter, &mut tally)?;
    }
    finish(&tally)
}

fn finish(tally: &Tally) -> Result<ExitCode> {
    tally.print(&mut std::io::stdout())?;
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs what the tests need and is missing. That is no failure where it can't be: the tests that need it
/// are then skipped, by name.
fn install_packages() {
    if let Err(error) = packages::install(&packages::missing_for_tests()) {
        eprintln!("warning: some tests will be skipped: {error:#}");
    }
}
