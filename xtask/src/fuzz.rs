//! `cargo xtask fuzz`: the readers of what strangers write, under libFuzzer (`tests/fuzz`). The instrumentation is what
//! cargo-fuzz asks of rustc; without its sanitizers, which are for unsafe code, a stable rustc has all of it.

use crate::architecture::Architecture;
use crate::{cargo, packages, setup};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// The targets, each a program of `tests/fuzz`, with the folders of files to begin from.
const TARGETS: [(&str, &str); 2] = [("recording", "tests/cli/fixtures"), ("names", "")];
/// Coverage by counters and of comparisons (clang's SanitizerCoverage).
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg=fuzzing";

/// The arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// How long each target is fuzzed.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    seconds: u32,
}

/// Fuzzes each target. The status is 1 where one crashes, hangs or takes too much memory; what made it do so is kept.
pub fn run(args: &Args) -> Result<ExitCode> {
    setup::ensure()?;
    packages::install(&packages::missing(&["g++"]))?;
    let root = cargo::root().join("target/fuzz");
    let mut failed = Vec::new();
    for (name, seeds) in TARGETS {
        let program = build(name)?;
        let corpus = root.join("corpus").join(name);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        let mut fuzzer = Command::new(program);
        fuzzer.arg(format!("-max_total_time={}", args.seconds)).args(["-timeout=10", "-rss_limit_mb=2048"]);
        fuzzer.arg(format!("-artifact_prefix={}/{name}-", root.display())).arg(&corpus);
        if !seeds.is_empty() {
            fuzzer.arg(cargo::root().join(seeds));
        }
        let status = fuzzer.stdin(Stdio::null()).status().context("cannot start the fuzzer")?;
        if !status.success() {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("failed: {}; what made it fail is in {}", failed.join(", "), root.display());
    Ok(ExitCode::FAILURE)
}

fn build(name: &str) -> Result<PathBuf> {
    let target = Architecture::here()?.triple();
    let mut command = cargo::cargo();
    command.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", cargo::root().join("target/fuzz"));
    // For a target, so that build scripts are not instrumented.
    let arguments =
        ["build", "--release", "--manifest-path", "tests/fuzz/Cargo.toml", "--bin", name, "--target", target];
    cargo::executables(command, &arguments, [name]).map(|[program]| program)
}
