//! From needs to run, skip or fail.

use super::{Need, Tier};
use libtest_mimic::{Arguments, Completion, Failed};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

/// The variable that names the needs whose absence is a failure, separated by commas.
pub const REQUIRE: &str = "SECCOMP_TRACE_REQUIRE";
/// The variable that names the file of reports: one JSON object a line, `test` with `reason` (why it was skipped) or
/// `seconds` (how long it took).
pub const REPORT: &str = "SECCOMP_TRACE_REPORT";
/// The variable that names the engine whose tests alone are run ([`engine`]).
pub const ENGINE: &str = "SECCOMP_TRACE_ENGINE";

/// All tests share the machine, but for those that have it alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// A test with its needs, before the harness takes it.
pub struct Trial {
    name: &'static str,
    needs: &'static [Need],
    tier: Tier,
    body: Box<dyn FnOnce() -> anyhow::Result<()> + Send>,
}

impl Trial {
    /// The same test, run in the full tier only: it takes long, and what it would find is seldom.
    #[must_use]
    pub fn only_in_full(self) -> Self {
        Self { tier: Tier::Full, ..self }
    }
}

/// A test that runs where all of `needs` are met. It fails by an error or a panic.
pub fn test(
    name: &'static str,
    needs: &'static [Need],
    body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> Trial {
    trial(name, needs, || {
        let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        timed(name, body)
    })
}

/// The same, with no other test beside it: it storms the machine, or would take another one's containers for its own.
#[allow(dead_code, reason = "not every test program has one")]
pub fn exclusive(
    name: &'static str,
    needs: &'static [Need],
    body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> Trial {
    trial(name, needs, || {
        let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
        timed(name, body)
    })
}

fn trial(
    name: &'static str,
    needs: &'static [Need],
    body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> Trial {
    Trial { name, needs, tier: Tier::Commit, body: Box::new(body) }
}

/// Reports how long a test takes that succeeds. The wait for its turn is no part of it.
fn timed(name: &str, body: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let began = Instant::now();
    body()?;
    let seconds = began.elapsed().as_secs_f64();
    report(&variable(REPORT), &json!({ "test": name, "seconds": seconds })).map_err(anyhow::Error::msg)
}

/// The engine that a test belongs to, by its needs; what needs none of the others' programs is Docker's.
fn engine(needs: &[Need]) -> &'static str {
    if needs.contains(&Need::Podman) {
        "podman"
    } else if needs.contains(&Need::Containerd) {
        "containerd"
    } else {
        "docker"
    }
}

impl From<Trial> for libtest_mimic::Trial {
    fn from(Trial { name, needs, tier, body }: Trial) -> Self {
        Self::ignorable_test(name, move || {
            let required = required(&variable(REQUIRE))?;
            match verdict(needs, &required, Need::check) {
                Verdict::Run => {
                    body().map_err(|error| Failed::from(format!("{error:#}")))?;
                    Ok(Completion::Completed)
                }
                Verdict::Skip(reason) => {
                    report(&variable(REPORT), &json!({ "test": name, "reason": reason }))?;
                    Ok(Completion::ignored_with(reason))
                }
                Verdict::Fail(reason) => Err(Failed::from(reason)),
            }
        })
        // As Rust's own harness has it: what is ignored runs when it is asked for.
        .with_ignored_flag(tier == Tier::Full)
    }
}

/// The whole of a test program: takes libtest's arguments, runs the groups, and returns libtest's exit code.
#[expect(clippy::print_stderr, reason = "this is the top of a program")]
pub fn main(groups: impl IntoIterator<Item = Vec<Trial>>) -> ExitCode {
    if let Err(error) = required(&variable(REQUIRE)) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    // A shell's background job ignores Ctrl-C, what nohup starts a hangup, and so would all that we start.
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
        // SAFETY: no other thread runs yet, and the default needs no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut arguments = Arguments::from_args();
    // Two even on one core: tests mostly wait, and lines of output are only whole with more than one thread.
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    arguments.test_threads = arguments.test_threads.or(Some(cores.clamp(2, 4)));
    arguments.include_ignored |= Tier::of_this_run() == Tier::Full;
    let wanted = variable(ENGINE);
    let is_wanted = |trial: &Trial| wanted.is_empty() || wanted == engine(trial.needs);
    let trials = groups.into_iter().flatten().filter(is_wanted).map(Into::into).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What becomes of a test.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All it needs is here.
    Run,
    /// Something isn't, and nobody insisted.
    Skip(String),
    /// Something isn't that was required.
    Fail(String),
}

/// Decides on a test by its needs. `check` says why a need isn't met.
pub fn verdict(needs: &[Need], required: &[Need], check: impl Fn(Need) -> Result<(), String>) -> Verdict {
    let unmet: Vec<(Need, String)> =
        needs.iter().filter_map(|need| Some((*need, check(*need).err()?))).collect();
    if unmet.is_empty() {
        return Verdict::Run;
    }
    let reasons: Vec<String> = unmet.iter().map(|(need, why)| format!("{}: {why}", need.name())).collect();
    let reasons = reasons.join("; ");
    if unmet.iter().any(|(need, _)| required.contains(need)) {
        Verdict::Fail(format!("{REQUIRE} asks for what isn't here: {reasons}"))
    } else {
        Verdict::Skip(reasons)
    }
}

/// Reads the value of [`REQUIRE`]. A name that is no need is an error: it would insist on nothing.
pub fn required(value: &str) -> Result<Vec<Need>, String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            Need::ALL.into_iter().find(|need| need.name() == name).ok_or_else(|| {
                let known: Vec<&str> = Need::ALL.iter().map(|need| need.name()).collect();
                format!("{REQUIRE} names `{name}`, which is none of {}", known.join(", "))
            })
        })
        .collect()
}

/// Appends a line to the report `file`; with an empty name there is nobody who reads it.
pub fn report(file: &str, line: &Value) -> Result<(), String> {
    if file.is_empty() {
        return Ok(());
    }
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .map_err(|error| format!("cannot report to {file}: {error}"))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
