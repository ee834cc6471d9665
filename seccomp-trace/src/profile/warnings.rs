//! What a reader of a profile should know of how it was made.

use super::build::has_application;
use super::seen::Seen;
use super::{Profile, Runtimes};
use crate::abi::Abi;
pub use crate::recording::Warning;
use crate::recording::{Boundary, FoundBy, Recording, Target};
use crate::report::text::list;

/// The names listed in one warning, at most.
const LISTED: usize = 8;

/// All warnings, in a fixed order: of each recording, then of the profile.
pub(super) fn collect(
    recordings: &[Recording],
    runtimes: &Runtimes,
    profile: &Profile,
    seen: &Seen,
) -> Vec<Warning> {
    let mut warnings: Vec<_> = recordings.iter().flat_map(of_recording).collect();
    warnings.sort_by(|a, b| (&a.code, &a.message).cmp(&(&b.code, &b.message)));
    warnings.dedup();
    warnings.extend(no_runtime(recordings, runtimes));
    warnings.extend(unnamed(seen));
    warnings.extend(over_allowed(profile));
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
