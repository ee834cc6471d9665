//! What a reader of a profile should know of how it was made.

use std::collections::{BTreeMap, BTreeSet};

use super::build::has_application;
use super::{Profile, Reason, Runtimes};
use crate::abi::Abi;
pub use crate::recording::Warning;
use crate::recording::{Answer, Boundary, FoundBy, Recording, Target};
use crate::report::text::list;

/// The names listed in one warning, at most.
const LISTED: usize = 8;

/// Which ABI made which calls.
#[derive(Default)]
pub(super) struct Seen {
    names: BTreeMap<Abi, BTreeSet<String>>,
    unnamed: BTreeMap<Abi, BTreeSet<u32>>,
}

impl Seen {
    pub(super) fn add(&mut self, abi: Abi, name: &str) {
        self.names.entry(abi).or_default().insert(name.to_owned());
    }

    pub(super) fn add_unnamed(&mut self, abi: Abi, number: u32) {
        self.unnamed.entry(abi).or_default().insert(number);
    }

    /// The ABIs seen, also by a number without a name alone: that ABI must not kill either.
    pub(super) fn abis(&self) -> BTreeSet<Abi> {
        self.names.keys().chain(self.unnamed.keys()).copied().collect()
    }

    fn has(&self, abi: Abi, name: &str) -> bool {
        self.names.get(&abi).is_some_and(|names| names.contains(name))
    }
}

/// All warnings, in a fixed order: of each recording, then of the profile.
pub(super) fn collect(
    recordings: &[Recording],
    runtimes: &Runtimes,
    profile: &Profile,
    seen: &Seen,
    native: &BTreeSet<Abi>,
) -> Vec<Warning> {
    let mut warnings: Vec<_> = recordings.iter().flat_map(of_recording).collect();
    warnings.sort_by(|a, b| (&a.code, &a.message).cmp(&(&b.code, &b.message)));
    warnings.dedup();
    warnings.extend(no_runtime(recordings, runtimes));
    warnings.extend(unnamed(seen));
    warnings.extend(stays_denied(recordings, profile));
    warnings.extend(over_allowed(profile, seen, native));
    if profile.allowed.contains_key("io_uring_setup") {
        warnings.push(warning(
            "io-uring",
            "io_uring_setup is allowed: what a program does through io_uring makes no syscall, is not in the \
             recording, and no profile can deny it",
        ));
    }
    warnings
}

fn warning(code: &str, message: impl Into<String>) -> Warning {
    Warning { code: code.to_owned(), message: message.into() }
}

/// The recording's own warnings, and what its facts say where it does not.
fn of_recording(recording: &Recording) -> Vec<Warning> {
    let mut all = recording.clone();
    let lost = recording.lost;
    if lost.syscalls > 0 {
        let message =
            format!("{} syscalls were lost: the profile is incomplete; record again", lost.syscalls);
        all.warn("incomplete", message);
    }
    if lost.events > 0 {
        let message =
            format!("{} events were lost: only times and thread names are missing, no syscall", lost.events);
        all.warn("lost-events", message);
    }
    if lost.origins > 0 {
        let message =
            format!("{} tasks lost their origin: their calls count as the application's", lost.origins);
        all.warn("lost-origins", message);
    }
    if lost.denials > 0 {
        let message = format!("{} denials were lost: what was denied is not all here", lost.denials);
        all.warn("lost-denials", message);
    }
    if recording.boundary.attached_late {
        all.warn("attached-late", "it ran before it was traced: calls that it made only then are missing");
    }
    if recording.boundary.found_by == FoundBy::Estimated {
        all.warn(
            "estimated",
            "it ran without a seccomp filter, so where its own calls begin is an estimate; for an exact profile, \
             run it under the profile that `seccomp-trace tracing-profile` prints",
        );
    }
    if recording.boundary == (Boundary { found_by: FoundBy::Unknown, attached_late: false }) {
        all.warn(
            "unknown-boundary",
            "nothing was seen to start in it, so where its own calls begin is unknown; record it again, from \
             before it starts",
        );
    }
    if !recording.finished {
        all.warn("unfinished", "the recording is a checkpoint: what came after it is missing");
    }
    if !has_application(recording) {
        all.warn("nothing-seen", "no syscall of its application was seen: it adds nothing of its own");
    }
    let title = recording.title();
    all.warnings
        .into_iter()
        .map(|its| Warning { message: format!("{title}: {}", its.message), ..its })
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

/// Numbers that no rule can name.
fn unnamed(seen: &Seen) -> Option<Warning> {
    let numbers: Vec<_> = seen
        .unnamed
        .iter()
        .flat_map(|(abi, numbers)| numbers.iter().map(move |number| format!("{abi} {number}")))
        .collect();
    (!numbers.is_empty()).then(|| {
        let numbers = list(&numbers, LISTED);
        warning("unnamed", format!("numbers without a name are seen, and will be denied: {numbers}"))
    })
}

/// What becomes of what was denied while it was recorded.
fn stays_denied(recordings: &[Recording], profile: &Profile) -> Option<Warning> {
    let (mut denied, mut for_some) = (BTreeSet::new(), BTreeSet::new());
    for (_, denial) in recordings.iter().flat_map(Recording::denials).filter(|(_, its)| !its.own_filter) {
        let Some(name) = denial.name.as_deref() else { continue };
        match profile.allowed.get(name) {
            None if matches!(denial.answer, Answer::Errno(_)) => {
                denied.insert(format!("{name} ({})", denial.answer));
            }
            None => {
                denied.insert(format!("{name} ({}; EPERM from now on)", denial.answer));
            }
            // By --allow-denied alone.
            Some(reasons) if reasons.iter().all(|reason| matches!(reason, Reason::Denied(_))) => {}
            Some(_) => {
                for_some.insert(format!("{name} ({})", denial.answer));
            }
        }
    }
    let part = |names: BTreeSet<String>, what: &str, advice: &str| {
        let names: Vec<_> = names.into_iter().collect();
        (!names.is_empty()).then(|| format!("{what}: {}{advice}", list(&names, LISTED)))
    };
    let parts = [
        part(denied, "what was denied stays denied", "; --allow-denied lets it in"),
        part(for_some, "denied for some arguments, and allowed for all, as no rule here has arguments", ""),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| warning("stays-denied", parts.join("; ")))
}

/// A rule's name counts under every architecture listed: what one ABI may do because another did it.
fn over_allowed(profile: &Profile, seen: &Seen, native: &BTreeSet<Abi>) -> Option<Warning> {
    if profile.architectures.len() < 2 {
        return None;
    }
    let is_needed = |abi: Abi, reason: &Reason| match reason {
        Reason::Always(_) => true,
        Reason::RuntimeStart { .. } => native.contains(&abi),
        Reason::Seen(_) | Reason::Denied(_) | Reason::CloneFallback => false,
    };
    let parts: Vec<_> = profile
        .architectures
        .iter()
        .filter_map(|abi| {
            let names: Vec<_> = profile
                .allowed
                .iter()
                .filter(|(name, _)| abi.number(name).is_some() && !seen.has(*abi, name))
                .filter(|(_, reasons)| !reasons.iter().any(|reason| is_needed(*abi, reason)))
                .map(|(name, _)| name.clone())
                .collect();
            (!names.is_empty()).then(|| format!("{} to {abi}: {}", names.len(), list(&names, LISTED)))
        })
        .collect();
    (!parts.is_empty()).then(|| {
        let abis: Vec<_> = profile.architectures.iter().map(Abi::to_string).collect();
        let message = format!(
            "a rule counts under every architecture listed ({}), so calls that only another one needs are \
             allowed too: {}",
            abis.join(", "),
            parts.join("; ")
        );
        warning("over-allowed", message)
    })
}
