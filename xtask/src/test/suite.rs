//! The suites, and how each is run.

use super::tally::Tally;
use super::tier::{TIER, Tier};
use crate::{cargo, dist, host};
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// One set of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Runs the tests that a filter selects.
type Runner = Box<dyn FnMut(&[OsString], &mut Tally) -> Result<()>>;

/// The same for all suites: other features would build the kernel program again.
pub const SELECTION: [&str; 5] = [
    "--workspace",
    "--exclude",
    "seccomp-trace-ebpf",
    "--features",
    "seccomp-trace/test-kernel,seccomp-trace/test-engines,seccomp-trace/test-dist",
];

/// The file to which the harness writes what it skips, and how long tests take.
const REPORT: &str = "SECCOMP_TRACE_REPORT";
/// The engine whose tests alone are run.
const ENGINE: &str = "SECCOMP_TRACE_ENGINE";

/// What the harness in `tests/support` and the program read, and sudo would drop.
const ENVIRONMENT: [&str; 10] = [
    REPORT,
    "SECCOMP_TRACE_REQUIRE",
    TIER,
    ENGINE,
    STATIC,
    "CARGO_MANIFEST_DIR",
    "DOCKER_HOST",
    "INSTA_UPDATE",
    "RUST_BACKTRACE",
    "CI",
];

/// How a suite is run.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// How much of it.
    pub tier: Tier,
    /// The tests of this engine alone.
    pub engine: Option<&'static str>,
}

impl Suite {
    /// Whether its tests run programs that `setup` doesn't install.
    pub fn needs_packages(self) -> bool {
        matches!(self, Self::Kernel | Self::Engines | Self::Dist)
    }

    /// Runs the suite, shows its output, and adds what came out to `tally`. A test that fails is run again alone, once.
    pub fn run(self, scope: Scope, filter: &[OsString], tally: &mut Tally) -> Result<()> {
        let Some(mut runner) = self.runner(scope, tally)? else { return Ok(()) };
        let mut own = Tally::default();
        runner(filter, &mut own)?;
        for test in own.failed_tests(self) {
            eprintln!("\n=== {self}: {test} failed; again, alone");
            let mut again = Tally::default();
            runner(&["--exact".into(), (&test).into(), "--include-ignored".into()], &mut again)?;
            own.take_again(self, &test, &again);
        }
        tally.add(own);
        Ok(())
    }

    /// What runs its tests, built once; none where it can't be built, which is a failure.
    fn runner(self, scope: Scope, tally: &mut Tally) -> Result<Option<Runner>> {
        let targets: &[&[&str]] = match self {
            Self::Unit => &[&["--lib", "--bins"], &["--doc"]],
            Self::Cli => &[&["--test", "cli"]],
            Self::Dist => &[&["--test", "dist"]],
            Self::Kernel => return self.root_runner("kernel", scope, tally),
            Self::Engines => return self.root_runner("engines", scope, tally),
        };
        Ok(Some(Box::new(move |filter, tally| {
            targets.iter().try_for_each(|targets| self.run_with_cargo(targets, filter, tally))
        })))
    }

    fn run_with_cargo(self, targets: &[&str], filter: &[OsString], tally: &mut Tally) -> Result<()> {
        let mut command = cargo::cargo();
        command.arg("test").args(SELECTION).args(targets);
        command.args(["--no-fail-fast", "--"]).args(filter);
        self.watch(&mut command, tally)
    }

    fn root_runner(self, target: &'static str, scope: Scope, tally: &mut Tally) -> Result<Option<Runner>> {
        let arguments = [["test", "--no-run", "--test", target].as_slice(), &SELECTION].concat();
        let program = match cargo::executable(&arguments, target) {
            Ok(program) => program,
            Err(error) => {
                tally.trouble(self, &format!("{error:#}"));
                return Ok(None);
            }
        };
        let mut variables =
            vec![(TIER, scope.tier.name().into()), (ENGINE, scope.engine.unwrap_or_default().into())];
        if self == Self::Engines && scope.tier == Tier::Full {
            // Where it can't be built, as without glibc's static library, its tests are skipped.
            match dist::static_program() {
                Ok(program) => variables.push((STATIC, program.into_os_string())),
                Err(error) => {
                    eprintln!("warning: the tests of the static program will be skipped: {error:#}")
                }
            }
        }
        Ok(Some(Box::new(move |filter, tally| self.run_as_root(&program, &variables, filter, tally))))
    }

    fn run_as_root(
        self,
        program: &Path,
        variables: &[(&str, OsString)],
        filter: &[OsString],
        tally: &mut Tally,
    ) -> Result<()> {
        let report = program.with_extension("report");
        std::fs::write(&report, "").with_context(|| format!("cannot write {}", report.display()))?;
        // Where cargo itself would run it.
        let package = cargo::root().join("seccomp-trace");
        // Without root the tests run too: each says what it lacks.
        let mut command = host::as_root(program, &ENVIRONMENT).unwrap_or_else(|| Command::new(program));
        command.current_dir(&package).env("CARGO_MANIFEST_DIR", &package).env(REPORT, &report);
        command.envs(variables.iter().map(|(name, value)| (name, value))).args(filter);
        self.watch(&mut command, tally)?;
        let text =
            std::fs::read_to_string(&report).with_context(|| format!("cannot read {}", report.display()))?;
        tally.add_report(self, &text)
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
