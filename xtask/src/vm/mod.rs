//! `cargo xtask test --vm`: the tests of `tests/kernel` on other kernels and architectures, in virtual machines.

mod apt;
mod compiler;
mod cross;
mod image;
mod kernels;
mod machine;
mod qemu;
mod table;

use crate::architecture::Architecture;
use crate::cargo;
use crate::packages;
use crate::test::{SELECTION, Tally};
use anyhow::{Context as _, Result, bail};
use apt::Apt;
use kernels::Pin;
use machine::{Machine, Outcome};
use qemu::Qemu;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;
use table::Row;

/// What is there for the tests: one that lacks it fails.
const REQUIRED: &str = "kernel,cc,runc,crun,strace,systemd,tmux";
/// The only test of a kernel that can't trace. What that lacks it is told by `SECCOMP_TRACE_LACKS`.
const REFUSAL: &str = "a_kernel_that_lacks_something_is_refused";

/// Runs the tests on these kernels (on all that are known, where none is named), and adds what came out. With `write_table`
/// that goes into the README's table.
pub fn run(wanted: &[String], filter: &[OsString], write_table: bool, tally: &mut Tally) -> Result<()> {
    let pins = kernels::select(wanted)?;
    if write_table && !filter.is_empty() {
        bail!("the table is of whole runs: name no test");
    }
    packages::install(&packages::missing_for_machines())?;
    let (folder, apt) = packages_folder()?;
    let qemu = Qemu::new(&folder, &apt)?;
    let mut rows: Vec<_> = pins.into_iter().map(Row::new).collect();
    let mut machines = Vec::new();
    for (row, index) in rows.iter_mut().zip(0..) {
        let pin = &row.pin;
        eprintln!("\n=== {}: Debian's {} {}", pin.name, pin.package, pin.version);
        match ready(pin, filter, &folder, &apt) {
            Ok(machine) => machines.push((index, machine)),
            Err(error) => row.tally.trouble(&row.pin.name, &format!("{error:#}")),
        }
    }
    eprintln!("\n=== machines");
    run_all(&qemu, machines, |index, told| match told {
        Told::Line(line) => rows[index].take(&line),
        Told::Ended(outcome) => rows[index].end(outcome),
    })?;
    for row in &mut rows {
        run_again(row, &qemu, &folder, &apt)?;
    }
    if write_table && let Err(error) = table::write(&rows) {
        tally.trouble("table", &format!("{error:#}"));
    }
    rows.into_iter().for_each(|row| tally.add(row.tally));
    Ok(())
}

/// Runs each test that failed on a kernel once more, in a machine of its own.
fn run_again(row: &mut Row, qemu: &Qemu, folder: &Path, apt: &Apt) -> Result<()> {
    for test in row.tally.failed_tests(&row.pin.name) {
        eprintln!("\n=== {}: {test} failed; again, alone", row.pin.name);
        let machine = ready(&row.pin, &[(&test).into(), "--exact".into()], folder, apt)?;
        let mut again = Row::new(row.pin.clone());
        run_all(qemu, vec![(0, machine)], |_, told| match told {
            Told::Line(line) => again.take(&line),
            Told::Ended(outcome) => again.end(outcome),
        })?;
        row.tally.take_again(&row.pin.name, &test, &again.tally);
    }
    Ok(())
}

/// What is heard of a machine while it runs.
enum Told {
    /// One line of its tests.
    Line(String),
    /// The last.
    Ended(Result<Outcome>),
}

/// Runs machines, as many at a time as there are processors: each is emulated by one thread.
fn run_all(
    qemu: &Qemu,
    machines: Vec<(usize, Machine)>,
    mut hear: impl FnMut(usize, Told) -> Result<()>,
) -> Result<()> {
    let (sender, heard) = mpsc::channel();
    let machines = Mutex::new(machines.into_iter());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let (sender, machines) = (sender.clone(), &machines);
            scope.spawn(move || {
                let next = || machines.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some((index, machine)) = next() {
                    let line = |line: &str| Ok(sender.send((index, Told::Line(line.to_owned())))?);
                    let outcome = machine.run(qemu, line);
                    if sender.send((index, Told::Ended(outcome))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        // Where this ends early, so do the machines: nobody hears them.
        heard.into_iter().try_for_each(|(index, told)| hear(index, told))
    })
}

impl Row {
    fn new(pin: Pin) -> Self {
        Self { pin, kernel: String::new(), tally: Tally::default(), began: Instant::now(), has_totals: false }
    }

    /// Takes one line of the tests, and shows it.
    fn take(&mut self, line: &str) -> Result<()> {
        let name = &self.pin.name;
        self.has_totals |= self.tally.count(name, line);
        writeln!(std::io::stdout(), "{name}: {line}").context("cannot write to stdout")
    }

    /// Takes how the machine ended.
    fn end(&mut self, outcome: Result<Outcome>) -> Result<()> {
        let name = &self.pin.name;
        let mut trouble = Vec::new();
        match outcome {
            Err(error) => trouble.push(format!("{error:#}")),
            Ok(outcome) => {
                self.tally.add_report(name, &outcome.report)?;
                trouble = outcome.trouble;
                let [passed, failed, skipped] = self.tally.totals();
                if trouble.is_empty() && !self.has_totals {
                    trouble.push("the tests ended without their totals".into());
                } else if trouble.is_empty() && passed + failed + skipped == 0 {
                    trouble.push("no test has such a name".into());
                } else if outcome.status.is_some_and(|status| status != 0) && self.tally.is_good() {
                    trouble.push("the tests failed, and none says why".into());
                }
                if !trouble.is_empty() {
                    eprintln!("\n=== the console of {name}\n{}", outcome.console.join("\n"));
                }
                self.kernel = outcome.kernel.unwrap_or_default();
            }
        }
        trouble.iter().for_each(|what| self.tally.trouble(name, what));
        let [passed, failed, skipped] = self.tally.totals();
        let took = self.began.elapsed().as_secs();
        eprintln!(
            "{name}: {passed} passed, {failed} failed, {skipped} skipped, {took} s after the beginning"
        );
        Ok(())
    }
}

/// Where packages and what is unpacked of them is kept.
fn packages_folder() -> Result<(PathBuf, Apt)> {
    let folder = cargo::root().join("target/machines");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let apt = Apt::new(&folder)?;
    Ok((folder, apt))
}

/// cargo for an architecture that is not this machine's, with further flags of rustc.
pub fn cross_cargo(architecture: Architecture, flags: &[OsString]) -> Result<std::process::Command> {
    packages::install(&packages::missing_for_cross(architecture.compiler(false)))?;
    let (folder, apt) = packages_folder()?;
    cross::cargo_for(&folder, &apt, architecture, flags)
}

/// Builds the tests and the program for an architecture: for this machine's the same that are run here.
fn build(folder: &Path, apt: &Apt, architecture: Architecture) -> Result<[PathBuf; 2]> {
    let names = ["kernel", "seccomp-trace"];
    let arguments = [["test", "--no-run", "--test", "kernel"].as_slice(), &SELECTION].concat();
    if architecture.is_here() {
        return cargo::executables(cargo::cargo(), &arguments, names);
    }
    let target = architecture.triple();
    let arguments = [&arguments[..], &["--target", target]].concat();
    cargo::executables(cross::cargo_for(folder, apt, architecture, &[])?, &arguments, names)
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Gets all ready that the tests on one kernel take.
fn ready(pin: &Pin, filter: &[OsString], folder: &Path, apt: &Apt) -> Result<Machine> {
    let architecture = pin.architecture()?;
    let programs = build(folder, apt, architecture)?;
    let base = image::base(folder, apt, architecture)?;
    let package = apt.fetch(&pin.package, &pin.version, &pin.suite, architecture)?;
    let kernel = image::kernel(folder, &package)?;
    let program = quoted(&programs[0].to_string_lossy());
    let words: Vec<_> = match &pin.lacks {
        Some(_) => [REFUSAL, "--exact"].map(quoted).to_vec(),
        None => filter.iter().map(|word| quoted(&word.to_string_lossy())).collect(),
    };
    // The harness takes one name only: a run for each, with all options, which come after the names.
    let (names, options) = words.split_at(words.iter().take_while(|word| !word.starts_with("'-")).count());
    let options = options.join(" ");
    let names = if names.is_empty() { &[String::new()] } else { names };
    let runs: String =
        names.iter().map(|name| format!("{program} {name} {options} || status=$?\n")).collect();
    // A kernel that can't trace meets no need.
    let required = if pin.lacks.is_none() { REQUIRED } else { "" };
    let lacks = pin.lacks.as_deref().unwrap_or_default();
    let script = format!(
        "export CARGO_MANIFEST_DIR=/ RUST_BACKTRACE=0 SECCOMP_TRACE_REQUIRE={required} SECCOMP_TRACE_LACKS={lacks}\nstatus=0\n{runs}exit $status\n",
    );
    let own = tempfile::tempdir().context("cannot make a folder for a machine's files")?;
    image::root(own.path(), &base, &kernel, architecture, &programs, &script)?;
    compiler::serve(&own.path().join(machine::COMPILER), architecture)?;
    Ok(Machine {
        architecture,
        kernel: kernel.image,
        arguments: pin.arguments.clone(),
        counts_instructions: pin.counts_instructions,
        log: folder.join(format!("{}.console", pin.name)),
        own,
    })
}
