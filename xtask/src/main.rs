//! The tasks of this workspace, one file each: `cargo xtask --help` lists them.
#![expect(clippy::print_stderr, reason = "a task tells its user what it does")]

mod architecture;
mod bench;
mod build;
mod cargo;
mod dist;
mod engines_test;
mod fuzz;
mod host;
mod lint;
mod measure_exactness;
mod measure_minimality;
mod measure_runtimes;
mod package;
mod packages;
mod picture;
mod plan;
#[path = "../../tests/support/programs.rs"]
mod programs;
mod run;
mod setup;
#[path = "../../tests/strace_oracle/mod.rs"]
mod strace_oracle;
mod test;
#[path = "../../seccomp-trace/build/toolchain.rs"]
mod toolchain;
mod vm;

use clap::Parser;
use std::process::ExitCode;

/// The tasks of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Installs what the build needs and is missing here.
    Setup,
    /// Builds seccomp-trace, and prints where it is.
    Build(build::Args),
    /// Builds seccomp-trace, as the tests are built, and runs it with the privileges that it needs.
    Run(run::Args),
    /// Runs the tests of a commit, or all; what can't run here is skipped, counted and named.
    Test(test::Args),
    /// Measures what tracing costs, and writes docs/performance.md.
    Bench(bench::Args),
    /// Fuzzes the readers of what strangers write.
    Fuzz(fuzz::Args),
    /// Runs the linters that the compiler does not have.
    Lint,
    /// Makes what users are given: static programs, archives, Debian packages and their checksums.
    Dist(dist::Args),
    /// Measures what the test containers do without each call of their profiles.
    MeasureMinimality(measure_minimality::Args),
    /// Measures what this machine's runtimes call when they start a container.
    MeasureRuntimes(measure_runtimes::Args),
    /// Makes the crates that are published, with the compiled kernel program inside.
    Package(package::Args),
    /// Draws docs/watch.svg, the screen of `--watch`, from a real one.
    Picture,
    /// Compares recordings with what strace sees of the same executions, and writes docs/exactness.md.
    MeasureExactness(measure_exactness::Args),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Setup => setup::run().map(|()| ExitCode::SUCCESS),
        Task::Build(args) => build::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Run(args) => run::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Lint => lint::run(),
        Task::Dist(args) => dist::run(&args).map(|()| ExitCode::SUCCESS),
        Task::MeasureMinimality(args) => measure_minimality::run(&args).map(|()| ExitCode::SUCCESS),
        Task::MeasureRuntimes(args) => measure_runtimes::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Package(args) => package::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Picture => picture::run().map(|()| ExitCode::SUCCESS),
        Task::MeasureExactness(args) => measure_exactness::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        // What `seccomp-trace` itself answers to trouble; a failed test is 1.
        ExitCode::from(2)
    })
}
