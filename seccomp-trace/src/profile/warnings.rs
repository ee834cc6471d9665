//! What a reader of a profile should know of how it was made.

use std::collections::{BTreeMap, BTreeSet};

use super::build::has_application;
use super::{ENOSYS, Options, Profile, Reason, Runtimes};
use crate::abi::Abi;
pub use crate::recording::Warning;
use crate::recording::{DeniedBy, FilterAction, Recording, Target, VDSO};
use crate::report::text::list;

/// The names listed in one warning, at most.
const LISTED: usize = 8;

/// All warnings, in a fixed order: of each recording, then of the profile.
pub(super) fn collect(recordings: &[Recording], options: &Options, profile: &Profile) -> Vec<Warning> {
    let mut warnings: Vec<_> = recordings.iter().flat_map(|its| of_recording(its, options)).collect();
    warnings.sort_by(|a, b| (&a.code, &a.message).cmp(&(&b.code, &b.message)));
    warnings.dedup();
    warnings.extend(no_runtime(recordings, &options.runtimes));
    warnings.extend(stays_denied(recordings, profile));
    warnings.extend(over_allowed(profile));
    warnings
}

fn warning(code: &str, message: impl Into<String>) -> Warning {
    Warning { code: code.to_owned(), message: message.into() }
}

/// What is to be said of a recording, also where it was written before anybody said it.
fn of_recording(recording: &Recording, options: &Options) -> Vec<Warning> {
    let mut all = recording.clone();
    all.warn_of_blind_spots();
    if !recording.finished {
        all.warn(
            "unfinished",
            "the recording is a checkpoint: what came after it is missing; record it again",
        );
    }
    if !has_application(recording) {
        all.warn("nothing-seen", "no syscall of its application was seen: it adds nothing of its own");
    }
    told(&all, options)
}

/// A recording's warnings, each with whose it is, as people are told them.
pub fn told(recording: &Recording, options: &Options) -> Vec<Warning> {
    let title = recording.title();
    let told = recording.warnings.iter().filter(|its| its.code != VDSO || !options.portable);
    told.map(|its| match its.code.as_str() {
        // True of almost all: once for all of them.
        VDSO => its.clone(),
        code => warning(code, format!("{title}: {}", its.message)),
    })
    .collect()
}

/// A command alone has no runtime whose calls could be seen.
fn no_runtime(recordings: &[Recording], runtimes: &Runtimes) -> Option<Warning> {
    let is_command = |recording: &Recording| matches!(recording.target, Target::Command { .. });
    (*runtimes == Runtimes::Exact && recordings.iter().all(is_command)).then(|| {
        warning(
            "no-runtime",
            "no container starts under this profile: a command of `run` has no runtime whose calls could be \
             seen, and --runtimes exact adds none; leave --runtimes out, or name your runtime (--runtimes runc)",
        )
    })
}

/// What becomes of what was denied while it was recorded.
fn stays_denied(recordings: &[Recording], profile: &Profile) -> Option<Warning> {
    let mut names: BTreeMap<Fate, BTreeSet<String>> = BTreeMap::new();
    for recording in recordings {
        let title = recording.title();
        for (abi, denial) in recording.denials().filter(|(_, denial)| denial.by() == DeniedBy::Container) {
            let Some(name) = denial.name_in(abi) else { continue };
            let native = Abi::of_machine(&recording.host.architecture).and_then(|abis| abis.first().copied());
            let call = if native == Some(abi) { name.to_owned() } else { format!("{abi} {name}") };
            let action = denial.action;
            let fate = fate(recording, profile, abi, name, action);
            let said = match fate {
                Fate::Nothing => continue,
                Fate::Denied if matches!(action, FilterAction::Errno(_)) => format!("{call} ({action})"),
                Fate::Denied => format!("{call} ({action}; EPERM from now on)"),
                Fate::Unlisted | Fate::ForSome => format!("{call} ({action})"),
                Fate::Elsewhere => format!("{call} ({action}, in {title})"),
            };
            names.entry(fate).or_default().insert(said);
        }
    }
    let part = |(fate, names): (Fate, BTreeSet<String>)| {
        let names: Vec<_> = names.into_iter().collect();
        let (what, advice) = match fate {
            Fate::Denied => ("what was denied stays denied", "; --allow-denied lets it in"),
            Fate::Unlisted => (
                "denied as calls of an architecture that the profile does not list, so that they kill",
                "; --allow-denied lists it",
            ),
            Fate::ForSome => {
                ("denied for some arguments, and allowed for all, as no rule here has arguments", "")
            }
            Fate::Elsewhere | Fate::Nothing => {
                ("denied by the profile of one recording, and allowed by this one for another reason", "")
            }
        };
        format!("{what}: {}{advice}", list(&names, LISTED))
    };
    let parts: Vec<_> = names.into_iter().map(part).collect();
    (!parts.is_empty()).then(|| warning("stays-denied", parts.join("; ")))
}

/// What a profile does with a call that was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// It denies it.
    Denied,
    /// It does not list its architecture.
    Unlisted,
    /// It was made with other arguments, and is allowed with all.
    ForSome,
    /// Something else has it allowed: another recording, another ABI, a runtime.
    Elsewhere,
    /// What nobody has to be told.
    Nothing,
}

fn fate(recording: &Recording, profile: &Profile, abi: Abi, name: &str, action: FilterAction) -> Fate {
    let was_made = || {
        let calls = recording.syscalls.get(&abi).into_iter().flatten();
        calls.filter_map(|call| call.name_in(abi)).any(|made| made == name)
    };
    match profile.allowed.get(name) {
        // By --allow-denied alone.
        Some(reasons) if reasons.iter().all(|reason| matches!(reason, Reason::Denied(_))) => Fate::Nothing,
        _ if !profile.architectures.contains(&abi) => Fate::Unlisted,
        // So that clone is taken, whose arguments a filter can see: nobody is advised to let it in.
        None if name == "clone3" && action == FilterAction::Errno(ENOSYS as u16) => Fate::Nothing,
        None => Fate::Denied,
        Some(_) if was_made() => Fate::ForSome,
        Some(_) => Fate::Elsewhere,
    }
}

/// What one ABI may do because another one did it.
fn over_allowed(profile: &Profile) -> Option<Warning> {
    let over_allowed = &profile.over_allowed;
    let parts: Vec<_> = over_allowed
        .iter()
        .map(|(abi, names)| {
            let names: Vec<_> = names.iter().cloned().collect();
            format!("{} to {abi}: {}", names.len(), list(&names, LISTED))
        })
        .collect();
    (!parts.is_empty()).then(|| {
        let abis: Vec<_> = profile.architectures.iter().map(Abi::to_string).collect();
        let is_cut = over_allowed.values().any(|names| names.len() > LISTED);
        let message = format!(
            "a rule counts under every architecture listed ({}), so calls that only another one needs are \
             allowed too: {}{}",
            abis.join(", "),
            parts.join("; "),
            if is_cut { " (--verbose names them all)" } else { "" }
        );
        warning("over-allowed", message)
    })
}
