//! What each call of a profile is for: it has a recorded reason, and, measured by `cargo xtask measure-minimality`, what the
//! container does without it.

mod document;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use document::{Call, Effect, Minimality, Rule};
use seccomp_trace::abi::Abi;
use seccomp_trace::profile::{self, Options, Profile, Reason};
use seccomp_trace::recording::Recording;
use seccomp_trace::tables::{always::ALWAYS, runtimes};
use serde_json::Value;

use super::container::Container;
use super::programs::{NGINX, PYTHON, Program, REDIS, SHELL};
use super::record::{Recorded, shared};
use super::starts::{same, start};
use super::{command, image};
use crate::recorder::without;
use crate::support;

/// Where the measurement is written; it is made only where this is set.
pub const MEASURE: &str = "SECCOMP_TRACE_MINIMALITY";
const ABOUT: &str = "What the test containers do without each call of their profiles; written by cargo xtask measure-minimality";
/// With each program the Debian package of its version.
const PROGRAMS: [(&Program, &str); 4] =
    [(&NGINX, "nginx-light"), (&REDIS, "redis-server"), (&PYTHON, "python3"), (&SHELL, "bash")];
/// A call is tolerated where all these starts work the same without it.
const STARTS: usize = 3;
const AT_ONCE: usize = 3;
/// What a step says that took longer than [`PATIENCE`].
const SLOW: [&str; 3] = ["in vain", "timed out", "Resource temporarily unavailable"];
/// Some fail by never answering. What is only slow gets a second chance.
const PATIENCE: [Duration; 2] = [Duration::from_secs(8), Duration::from_secs(30)];

/// No call of a real profile is without a reason, and each reason stands where it says.
pub fn each_call_has_its_reason() -> Result<()> {
    let recorded = shared(&SHELL)?;
    let (recording, built) = built(recorded)?;
    let written: Value = serde_json::from_str(&recorded.profile)?;
    let rules = written["syscalls"].as_array().context("a profile without rules")?;
    let names: BTreeSet<&str> = rules
        .iter()
        .filter_map(|rule| rule["names"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let known: BTreeSet<&str> = built.allowed.keys().chain(built.errno.keys()).map(String::as_str).collect();
    ensure!(names == known, "without a reason: {:?}", names.symmetric_difference(&known));
    for (name, reasons) in &built.allowed {
        ensure!(!reasons.is_empty(), "{name} has no reason");
        for reason in reasons {
            let stands = match reason {
                Reason::Seen(origin) => {
                    let mut calls = recording.syscalls.values().flatten();
                    calls.any(|call| call.name.as_deref() == Some(name) && call.origins.contains(origin))
                }
                Reason::Always(_) => ALWAYS.iter().any(|always| always.name == name),
                Reason::RuntimeStart { runtime, version } => runtimes::sets().iter().any(|set| {
                    set.runtime == *runtime && set.version == *version && set.calls.contains_key(name)
                }),
                // Nothing of that was asked for.
                Reason::Portable(_) | Reason::Denied(_) | Reason::Supervised | Reason::CloneFallback => false,
            };
            ensure!(stands, "{name} is said to be in for a reason that isn't there: {reason}");
        }
    }
    Ok(())
}

/// What docs/minimality.json says beside what was seen is what the tables add today: no call, no reason more or less.
pub fn documented_reasons_are_those_of_the_tables() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/minimality.json");
    let measured: Minimality = serde_json::from_str(&fs::read_to_string(path)?)?;
    let mut added: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for always in ALWAYS.iter().filter(|always| Abi::X86_64.number(always.name).is_some()) {
        added.entry(always.name).or_default().insert(Reason::Always(always.reason).to_string());
    }
    for set in runtimes::sets() {
        let reason = Reason::RuntimeStart { runtime: &set.runtime, version: &set.version }.to_string();
        for name in set.calls.keys() {
            added.entry(name).or_default().insert(reason.clone());
        }
    }
    for program in &measured.programs {
        let mut documented: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (name, call) in program.calls.iter().filter(|(_, call)| call.rule == Rule::Allow) {
            for reason in call.reasons.iter().filter(|reason| !reason.starts_with("seen: ")) {
                documented.entry(name).or_default().insert(reason.clone());
            }
        }
        let faults: Vec<_> =
            added.iter().filter(|its| !documented.iter().any(|other| other == *its)).collect();
        let more: Vec<_> = documented.iter().filter(|its| !added.iter().any(|other| other == *its)).collect();
        ensure!(
            faults.is_empty() && more.is_empty(),
            "{}: the tables have changed; run cargo xtask measure-minimality: {faults:?}, and not {more:?}",
            program.name
        );
    }
    Ok(())
}

/// The profile as it is made of the recording, with its reasons.
fn built(recorded: &Recorded) -> Result<(Recording, Profile)> {
    let recording = Recording::parse(recorded.recording.as_bytes())?;
    let (built, _) = profile::build(std::slice::from_ref(&recording), &Options::default())?;
    Ok((recording, built))
}

/// Measures all programs, and writes what came out to `path`.
pub fn measure(path: &Path) -> Result<()> {
    let mut programs = Vec::new();
    let mut versions = None;
    for (program, package) in PROGRAMS {
        let recorded = shared(program)?;
        let (recording, built) = built(recorded)?;
        let container = recording.target.containers().first().context("no container")?;
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".to_owned());
        let engine = format!("{} {}", container.engine, version(&container.engine_version));
        let runtime = container.runtime.clone().unwrap_or_else(|| "a runtime".to_owned());
        let runtime = format!("{runtime} {}", version(&container.runtime_version));
        versions = Some((recording.host.kernel.clone(), engine, runtime, recording.start));
        let calls = measure_program(program, recorded, &built)?;
        let version = format!("{package} {}", version_of(package)?);
        programs.push(document::Program { name: program.name.to_owned(), version, calls });
    }
    let (kernel, engine, runtime, start) = versions.context("no program")?;
    let date = start.strftime("%Y-%m-%d").to_string();
    let all = Minimality { about: ABOUT.to_owned(), date, kernel, engine, runtime, starts: STARTS, programs };
    fs::write(path, serde_json::to_string_pretty(&all)? + "\n").with_context(|| path.display().to_string())
}

fn version_of(package: &str) -> Result<String> {
    let mut query = support::docker();
    query.args(["run", "--rm", "--network", "none", image::name()?]);
    query.args(["dpkg-query", "--showformat=${Version}", "--show", package]);
    command::output(&mut query, PATIENCE[1])
}

fn measure_program(
    program: &Program,
    recorded: &Recorded,
    built: &Profile,
) -> Result<BTreeMap<String, Call>> {
    let folder = support::temp_dir()?;
    let whole = folder.path().join("whole.json");
    fs::write(&whole, &recorded.profile)?;
    for _ in 0..STARTS {
        same(program, recorded, &whole, &[])
            .with_context(|| format!("{} doesn't even work with the whole profile", program.name))?;
    }
    let allowed = built.allowed.iter().map(|(name, reasons)| {
        (name, Rule::Allow, reasons.iter().map(Reason::to_string).collect::<Vec<_>>())
    });
    let errno = built.errno.iter().map(|(name, (_, reason))| (name, Rule::Errno, vec![reason.to_string()]));
    let all: Vec<_> = allowed.chain(errno).collect();
    let (next, done, failed) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()), Mutex::new(None));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, rule, reasons)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match without_one(program, recorded, folder.path(), name) {
                        Ok((effect, seen)) => {
                            say(&format!("{} without {name}: {effect:?}", program.name));
                            let call = Call { rule: *rule, effect, seen, reasons: reasons.clone() };
                            lock(&done).insert((*name).clone(), call);
                        }
                        Err(error) => {
                            *lock(&failed) = Some(anyhow!("{} without {name}: {error:#}", program.name))
                        }
                    }
                }
            });
        }
    });
    match lock(&failed).take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *lock(&done))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[expect(clippy::print_stderr, reason = "it takes long, and silence looks like a hang")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Starts the container until it differs, at most [`STARTS`] times.
fn without_one(
    program: &Program,
    recorded: &Recorded,
    folder: &Path,
    call: &str,
) -> Result<(Effect, Option<String>)> {
    let profile = folder.join(format!("{call}.json"));
    fs::write(&profile, without(&recorded.profile, call)?)?;
    for _ in 0..STARTS {
        let first = try_once(program, recorded, &profile, PATIENCE[0]);
        let effect = match first {
            // It may only have been slow.
            Some((_, said)) if SLOW.iter().any(|slow| said.contains(slow)) => {
                try_once(program, recorded, &profile, PATIENCE[1])
            }
            other => other,
        };
        if let Some((effect, said)) = effect {
            return Ok((effect, Some(in_short(&said))));
        }
    }
    Ok((Effect::Tolerated, None))
}

/// What is not the same in one start; none where all is.
fn try_once(
    program: &Program,
    recorded: &Recorded,
    profile: &Path,
    patience: Duration,
) -> Option<(Effect, String)> {
    let container: Container = match start(program, profile, &[], patience) {
        Ok(container) => container,
        Err(error) => return Some((Effect::Fatal, format!("{error:#}"))),
    };
    match (program.exercise)(&container) {
        // It runs, and does not do its work.
        Err(error) if container.is_running().unwrap_or(false) => {
            Some((Effect::ChangesBehaviour, format!("{error:#}")))
        }
        Err(error) => Some((Effect::Fatal, format!("{error:#}"))),
        Ok(outcome) => recorded.outcome.difference(&outcome).map(|difference| {
            let is_fatal = outcome.exit != recorded.outcome.exit;
            let effect = if is_fatal { Effect::Fatal } else { Effect::ChangesBehaviour };
            (effect, format!("{difference}{}", container.last_words()))
        }),
    }
}

/// The part of an error that says what went wrong, without what differs from run to run.
fn in_short(error: &str) -> String {
    let (what, last_words) = error.split_once("; its last words:").unwrap_or((error, ""));
    let mut lines = what.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let line = lines.find(|line| line.starts_with("docker: ")).unwrap_or(first);
    // Docker wraps it in the names of each of its layers.
    let line = ["container process: ", "container init: ", "OCI runtime create failed: "]
        .iter()
        .find_map(|layer| line.rsplit_once(layer))
        .map_or(line, |(_, inner)| inner);
    let line = line.trim_end_matches(": unknown.").to_owned();
    // The program's own complaint is mostly its last line.
    let line = match last_words.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(last) => format!("{line}; {last}"),
        None => line,
    };
    let words: Vec<_> = line.split(' ').map(|word| if is_random(word) { "…" } else { word }).collect();
    let short: String = words.join(" ").chars().take(200).collect();
    short.replace('|', "/")
}

/// A container's name or id, an address, a process.
fn is_random(word: &str) -> bool {
    let long_hex =
        word.len() >= 32 && word.chars().all(|c| c.is_ascii_hexdigit() || !c.is_ascii_alphanumeric());
    long_hex || word.contains("seccomp-trace-test") || word.contains("/tmp/")
}
