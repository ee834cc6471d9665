//! `cargo xtask test --vm`: the tests of `tests/kernel` on other kernels and architectures, in virtual machines.

mod apt;
mod architecture;
mod compiler;
mod cross;
mod image;
mod kernels;
mod machine;
mod table;

use crate::cargo;
use crate::packages;
use crate::test::{SELECTION, Tally};
use anyhow::{Context as _, Result, bail};
use apt::Apt;
use architecture::Architecture;
use kernels::Pin;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use table::Row;

/// What is there for the tests: one that lacks it fails.
const REQUIRED: &str = "kernel,cc,runc,crun,strace,systemd,tmux";

/// Runs the tests on these kernels (on all that are known, where none is named), and adds what came out. With `write_table`
/// that is the README's table.
pub fn run(wanted: &[String], filter: &[OsString], write_table: bool, tally: &mut Tally) -> Result<()> {
    let pins = kernels::select(wanted)?;
    if write_table && !(wanted.is_empty() && filter.is_empty()) {
        bail!("the table is of whole runs on all kernels: name none, and no test");
    }
    packages::install(&packages::missing_for_machines())?;
    let folder = cargo::root().join("target/machines");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let apt = Apt::new(&folder)?;
    let mut rows = Vec::new();
    for pin in pins {
        eprintln!("\n=== {}: Debian's {} {}", pin.name, pin.package, pin.version);
        let (before, began) = (tally.totals(), Instant::now());
        let kernel = machine(&pin, filter, &folder, &apt, tally).unwrap_or_else(|error| {
            tally.trouble(&pin.name, &format!("{error:#}"));
            String::new()
        });
        let after = tally.totals();
        let totals = std::array::from_fn(|index| after[index] - before[index]);
        let [passed, failed, skipped] = totals;
        eprintln!(
            "{}: {passed} passed, {failed} failed, {skipped} skipped, in {} s",
            pin.name,
            began.elapsed().as_secs()
        );
        rows.push(Row { pin, kernel, totals });
    }
    if write_table {
        table::write(&rows)?;
    }
    Ok(())
}

/// Builds the tests and the program for an architecture, optimised, as the machine is emulated.
fn build(folder: &Path, apt: &Apt, architecture: Architecture) -> Result<[PathBuf; 2]> {
    let names = ["kernel", "seccomp-trace"];
    let arguments =
        [["test", "--no-run", "--profile", "vm", "--test", "kernel"].as_slice(), &SELECTION].concat();
    if architecture.is_here() {
        return cargo::executables(cargo::cargo(), &arguments, names);
    }
    let target = cross::target(architecture);
    let arguments = [&arguments[..], &["--target", &target]].concat();
    cargo::executables(cross::cargo_for(folder, apt, architecture)?, &arguments, names)
}

/// Runs the tests in one machine; returns what its kernel calls itself.
fn machine(pin: &Pin, filter: &[OsString], folder: &Path, apt: &Apt, tally: &mut Tally) -> Result<String> {
    let architecture = pin.architecture()?;
    let programs = build(folder, apt, architecture)?;
    let base = image::base(folder, apt, architecture)?;
    let package = apt.fetch(&pin.package, &pin.version, &pin.suite, architecture)?;
    let kernel = image::kernel(folder, &package)?;
    let mut words = vec![programs[0].display().to_string()];
    match &pin.only {
        Some(only) => words.extend(["--exact", only].map(str::to_owned)),
        None => words.extend(filter.iter().map(|word| word.to_string_lossy().into_owned())),
    }
    let quoted: Vec<_> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    // A kernel that can't trace meets no need.
    let required = if pin.only.is_none() { REQUIRED } else { "" };
    let script = format!(
        "export CARGO_MANIFEST_DIR=/ RUST_BACKTRACE=0 SECCOMP_TRACE_REQUIRE={required}\nexec {}\n",
        quoted.join(" ")
    );
    let root = image::root(folder, &base, &kernel, architecture, &programs, &script)?;
    let socket = folder.join("compiler");
    compiler::serve(&socket, architecture)?;
    let log = folder.join(format!("{}.console", pin.name));
    let mut has_totals = false;
    let outcome = machine::run(architecture, &kernel.image, &pin.arguments, &root, &socket, &log, |line| {
        has_totals |= tally.count(&pin.name, line);
        writeln!(std::io::stdout(), "{line}").context("cannot write to stdout")
    })?;
    tally.add_skip_report(&pin.name, &outcome.skips)?;
    let mut trouble = outcome.trouble;
    if trouble.is_empty() && !has_totals {
        trouble.push("the tests ended without their totals".into());
    }
    if !trouble.is_empty() {
        eprintln!("{}", outcome.console.join("\n"));
    }
    trouble.iter().for_each(|what| tally.trouble(&pin.name, what));
    Ok(outcome.kernel.unwrap_or_default())
}
