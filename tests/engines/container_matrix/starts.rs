//! Starting a program under its profile, whole and with a call taken out.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::container::{Container, Start};
use super::programs::{Outcome, Program};
use super::record::{Recorded, record};
use crate::recorder::without;
use crate::support;

/// For a step that should succeed, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// For a step that should fail, which some do by never answering.
const LITTLE_PATIENCE: Duration = Duration::from_secs(5);
/// A start is mostly waiting for Docker: a few at once take no longer than one.
const AT_ONCE: usize = 3;

/// Starts the program `starts` times under the profile that it was recorded for; each has to work as the
/// recorded one did.
pub fn works(program: &Program, recorded: &Recorded, options: &[&'static str], starts: usize) -> Result<()> {
    let folder = support::temp_dir()?;
    let profile = folder.path().join("profile.json");
    fs::write(&profile, &recorded.profile)?;

    let (next, failures) = (AtomicUsize::new(1), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number > starts {
                        break;
                    }
                    if let Err(difference) = same(program, recorded, &profile, options) {
                        let failure = format!("start {number}: {difference:#}");
                        failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    if failures.is_empty() {
        return Ok(());
    }
    bail!(
        "{}: {} of {starts} starts are not as recorded{}\n{}",
        program.name,
        failures.len(),
        missed(program, recorded, options),
        // The rest mostly say the same.
        failures.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("\n")
    )
}

/// Takes the calls that the program needs out of its profile, one at a time: it starts, but doesn't work.
pub fn fails_without_its_calls(program: &Program, recorded: &Recorded) -> Result<()> {
    let folder = support::temp_dir()?;
    let profile = folder.path().join("profile.json");
    fs::write(&profile, &recorded.profile)?;
    // Else it would fail for another reason.
    same(program, recorded, &profile, &[])
        .with_context(|| format!("{} doesn't even work with the whole profile", program.name))?;
    for call in program.needs {
        fs::write(&profile, without(&recorded.profile, call)?)?;
        let container = start(program, &profile, &[], LITTLE_PATIENCE)
            .with_context(|| format!("{call} is the runtime's, not only {}'s", program.name))?;
        if compare(program, recorded, &container).is_ok() {
            bail!("{} works the same without {call}", program.name);
        }
    }
    Ok(())
}

/// One start, compared with the recorded one.
pub fn same(program: &Program, recorded: &Recorded, profile: &Path, options: &[&'static str]) -> Result<()> {
    compare(program, recorded, &start(program, profile, options, PATIENCE)?)
}

pub fn start(
    program: &Program,
    profile: &Path,
    options: &[&'static str],
    patience: Duration,
) -> Result<Container> {
    let options = [program.options, options].concat();
    Container::start(Start { profile: Some(profile), options, ..Start::default() }, program.argv, patience)
}

fn compare(program: &Program, recorded: &Recorded, container: &Container) -> Result<()> {
    let outcome: Outcome = (program.exercise)(container)?;
    match recorded.outcome.difference(&outcome) {
        Some(difference) => bail!("{difference}{}", container.last_words()),
        None => Ok(()),
    }
}

/// What a failed proof most likely lacks: the calls that only a second recording has.
fn missed(program: &Program, recorded: &Recorded, options: &[&'static str]) -> String {
    match record(program, options) {
        Ok(again) => {
            let new: Vec<&str> = again.calls.difference(&recorded.calls).map(String::as_str).collect();
            format!(
                "; only a second recording has: {}",
                if new.is_empty() { "nothing".into() } else { new.join(" ") }
            )
        }
        Err(error) => format!("; and it can't be recorded again: {error:#}"),
    }
}
