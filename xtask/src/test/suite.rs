//! The suites, and how each is run.

use super::tally::Tally;
use crate::{cargo, dist, host};
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

/// One set of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Unit and documentation tests of all crates.
    Unit,
    /// The command line, without root.
    Cli,
    /// The kernel program: root and BPF.
    Kernel,
    /// Real container engines.
    Engines,
    /// What users are given: archives, packages, crates.
    Dist,
}

/// Where the tests of the static program find it.
const STATIC: &str = "SECCOMP_TRACE_STATIC";

/// The same for all suites: other features would build the kernel program again.
pub const SELECTION: [&str; 5] = [
    "--workspace",
    "--exclude",
    "seccomp-trace-ebpf",
    "--features",
    "seccomp-trace/test-kernel,seccomp-trace/test-engines,seccomp-trace/test-dist",
];

/// What the harness in `tests/support` and the program read, and sudo would drop. The first is the file to which
/// the harness writes the tests that it skips.
const ENVIRONMENT: [&str; 8] = [
    "SECCOMP_TRACE_SKIPPED",
    "SECCOMP_TRACE_REQUIRE",
    STATIC,
    "CARGO_MANIFEST_DIR",
    "DOCKER_HOST",
    "INSTA_UPDATE",
    "RUST_BACKTRACE",
    "CI",
];

impl Suite {
    /// All, the quick ones first.
    pub const ALL: [Self; 5] = [Self::Unit, Self::Cli, Self::Kernel, Self::Engines, Self::Dist];

    /// Whether its tests run programs that `setup` doesn't install.
    pub fn needs_packages(self) -> bool {
        matches!(self, Self::Kernel | Self::Engines | Self::Dist)
    }

    /// Runs the suite, shows its output, and adds what came out to `tally`.
    pub fn run(self, filter: &[OsString], tally: &mut Tally) -> Result<()> {
        match self {
            Self::Unit => {
                self.run_with_cargo(&["--lib", "--bins"], filter, tally)?;
                self.run_with_cargo(&["--doc"], filter, tally)
            }
            Self::Cli => self.run_with_cargo(&["--test", "cli"], filter, tally),
            Self::Kernel => self.run_as_root("kernel", filter, tally),
            Self::Engines => self.run_as_root("engines", filter, tally),
            Self::Dist => self.run_with_cargo(&["--test", "dist"], filter, tally),
        }
    }

    fn run_with_cargo(self, targets: &[&str], filter: &[OsString], tally: &mut Tally) -> Result<()> {
        let mut command = cargo::cargo();
        command.arg("test").args(SELECTION).args(targets).args(["--no-fail-fast", "--"]).args(filter);
        self.watch(&mut command, tally)
    }

    fn run_as_root(self, target: &str, filter: &[OsString], tally: &mut Tally) -> Result<()> {
        let arguments = [["test", "--no-run", "--test", target].as_slice(), &SELECTION].concat();
        let program = match cargo::executable(&arguments, target) {
            Ok(program) => program,
            Err(error) => {
                tally.trouble(self, &format!("{error:#}"));
                return Ok(());
            }
        };
        let skipped = program.with_extension("skipped");
        std::fs::write(&skipped, "").with_context(|| format!("cannot write {}", skipped.display()))?;
        // Where cargo itself would run it.
        let package = cargo::root().join("seccomp-trace");
        let variables = [("SECCOMP_TRACE_SKIPPED", &skipped), ("CARGO_MANIFEST_DIR", &package)];
        // Without root the tests run too: each says what it lacks.
        let mut command = host::as_root(&program, &ENVIRONMENT).unwrap_or_else(|| Command::new(&program));
        command.current_dir(&package).envs(variables).args(filter);
        if self == Self::Engines {
            // Where it can't be built, as without glibc's static library, its tests are skipped.
            match dist::static_program() {
                Ok(program) => drop(command.env(STATIC, program)),
                Err(error) => {
                    eprintln!("warning: the tests of the static program will be skipped: {error:#}")
                }
            }
        }
        self.watch(&mut command, tally)?;
        let report = std::fs::read_to_string(&skipped)
            .with_context(|| format!("cannot read {}", skipped.display()))?;
        tally.add_skip_report(self, &report)
    }

    /// Runs `command`, and shows its stdout while counting what it says.
    fn watch(self, command: &mut Command, tally: &mut Tally) -> Result<()> {
        let name = command.get_program().display().to_string();
        let mut child =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {name}"))?;
        let failed_before = tally.failed();
        let mut last_words = false;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n') {
                let line = line.with_context(|| format!("cannot read what {name} prints"))?;
                let line = String::from_utf8_lossy(&line);
                writeln!(std::io::stdout(), "{line}").context("cannot write to stdout")?;
                last_words |= tally.count(self, &line);
            }
        }
        let status = child.wait().with_context(|| format!("cannot wait for {name}"))?;
        if !status.success() && tally.failed() == failed_before {
            tally.trouble(self, &format!("it ended with {status}, and no test says why"));
        } else if !last_words {
            tally.trouble(self, "it ended without its totals");
        }
        Ok(())
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "unit",
            Self::Cli => "cli",
            Self::Kernel => "kernel",
            Self::Engines => "engines",
            Self::Dist => "dist",
        })
    }
}
