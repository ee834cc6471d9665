//! Recordings to a profile.

use std::collections::{BTreeMap, BTreeSet};

use super::seen::Seen;
use super::{ENOSYS, EPERM, Options, Profile, Reason, Runtimes, UnknownRuntime, Warning, warnings};
use seccomp_trace_common::X32_BIT;

use crate::abi::Abi;
use crate::recording::{BoundaryMethod, Denial, DeniedBy, FilterAction, Origin, Recording, Syscall};
use crate::report::text::list;
use crate::tables::always::ALWAYS;
use crate::tables::never::is_never_filtered;
use crate::tables::portable;
use crate::tables::runtimes::{self, RuntimeSet};

/// The names listed in one message, at most.
const LISTED: usize = 8;

/// Why there is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// An option names no runtime.
    #[error(transparent)]
    UnknownRuntime(#[from] UnknownRuntime),
    /// No recording has a syscall of its application: a profile would deny everything.
    #[error(
        "no profile was made: {}no syscall of an application was seen in {}, and a profile of nothing would \
         deny everything; record it again, {}",
        failed_start(denied),
        name_list(titles),
        if denied.is_empty() { "and use it while it is recorded" } else { "under the profile that `seccomp-trace tracing-profile` prints" }
    )]
    NothingSeen {
        /// What was recorded.
        titles: Vec<String>,
        /// What was denied before an application began.
        denied: Vec<String>,
    },
}

impl ProfileError {
    /// None of the recordings has a syscall of its application.
    pub fn nothing_seen(recordings: &[Recording]) -> Self {
        let titles: BTreeSet<_> = recordings.iter().map(|recording| recording.title().into_owned()).collect();
        let denied: BTreeSet<_> = denials(recordings)
            .filter_map(|(abi, denial)| Some(format!("{} ({})", denial.name_in(abi)?, denial.action)))
            .collect();
        Self::NothingSeen { titles: titles.into_iter().collect(), denied: denied.into_iter().collect() }
    }
}

/// The profile that allows what all `recordings` together saw, and what a profile always needs.
///
/// The architectures are the ABIs seen. Where runtimes' calls are added, the machine's native ABI is
/// one too, even if the application never used it: the runtime makes its calls natively after it has
/// loaded the filter. runc adds it to the filter by itself (libseccomp's `seccomp_init` does; measured
/// with runc 1.1.5), so listing it takes nothing away; who reads the profile otherwise is told.
///
/// # Errors
/// Where no recording has a syscall of its application, and where the options name an unknown runtime.
pub fn build(recordings: &[Recording], options: &Options) -> Result<(Profile, Vec<Warning>), ProfileError> {
    let mut sets = options.runtimes.sets()?;
    if options.runtimes == Runtimes::Exact {
        sets.extend(missing_runtime_sets(recordings));
    }
    if !recordings.iter().any(has_application) {
        return Err(ProfileError::nothing_seen(recordings));
    }
    let without_joined: Vec<Recording>;
    let recordings = if options.exclude_joined {
        without_joined = recordings.iter().map(Recording::without_joined).collect();
        &without_joined
    } else {
        recordings
    };
    let mut seen = Seen::default();
    let mut allowed: BTreeMap<String, BTreeSet<Reason>> = BTreeMap::new();
    for (abi, syscall) in recordings.iter().flat_map(syscalls) {
        seen.add_abi(abi);
        if is_taken_for_x32(abi, syscall.number) {
            seen.add_abi(Abi::X32);
        }
        let Some(name) = syscall.name_in(abi) else { continue };
        seen.add(abi, name);
        allowed.entry(name.to_owned()).or_default().extend(syscall.origins.iter().copied().map(Reason::Seen));
    }
    for (abi, denial) in denials(recordings).filter(|_| options.allow_denied) {
        let Some(name) = denial.name_in(abi) else { continue };
        seen.add(abi, name);
        allowed.entry(name.to_owned()).or_default().insert(Reason::Denied(denial.action));
    }
    for (abi, denial) in recordings.iter().flat_map(Recording::denials) {
        // What was answered must not kill from now on.
        if is_taken_for_x32(abi, denial.number) && denial.action != FilterAction::Kill {
            seen.add_abi(Abi::X32);
        }
        if denial.by() == DeniedBy::Supervisor
            && let Some(name) = denial.name_in(abi)
        {
            seen.add(abi, name);
            allowed.entry(name.to_owned()).or_default().insert(Reason::Supervised);
        }
    }
    let native = native_abis(recordings);
    let mut architectures = seen.abis();
    if !sets.is_empty() {
        architectures.extend(&native);
    }
    let mut allow = |name: &str, reason| {
        // A name that no ABI here has (sigreturn on x86_64) would be noise.
        if architectures.iter().any(|abi| abi.number(name).is_some()) {
            allowed.entry(name.to_owned()).or_default().insert(reason);
        }
    };
    for always in ALWAYS {
        allow(always.name, Reason::Always(always.reason));
    }
    for RuntimeSet { runtime, version, calls, .. } in &sets {
        for name in calls.keys() {
            allow(name, Reason::RuntimeStart { runtime, version });
        }
    }
    if options.portable {
        for (name, reason) in portable::equivalents(|name| allowed.contains_key(name)) {
            if architectures.iter().any(|abi| abi.number(name).is_some()) {
                allowed.entry(name.to_owned()).or_default().insert(Reason::Portable(reason));
            }
        }
    }
    let mut errno = BTreeMap::new();
    for (abi, denial) in denials(recordings) {
        if let Some(name) = denial.name_in(abi)
            && let FilterAction::Errno(answer) = denial.action
            && !allowed.contains_key(name)
            // Older runtimes refuse a rule that says what the default does (runc before 1.0.2).
            && u32::from(answer) != EPERM
        {
            let rule = (u32::from(answer), Reason::Denied(denial.action));
            let kept = errno.entry(name.to_owned()).or_insert_with(|| rule.clone());
            // On which fallbacks depend.
            if rule.0 == ENOSYS {
                *kept = rule;
            }
        }
    }
    if allowed.contains_key("clone") && !allowed.contains_key("clone3") {
        // Whatever it was answered: without ENOSYS there is no thread.
        errno.insert("clone3".to_owned(), (ENOSYS, Reason::CloneFallback));
    }
    let over_allowed = seen.over_allowed(&architectures, &allowed, &native);
    let profile = Profile { default_errno: EPERM, architectures, allowed, errno, over_allowed };
    let warnings = warnings::collect(recordings, options, &profile);
    Ok((profile, warnings))
}

/// A number with bit 30 or 31, negative ones among them, is x32's to every filter that libseccomp makes: it kills where that is not listed,
/// though the kernel only says that there is no such call. But −1, which it takes for none.
fn is_taken_for_x32(abi: Abi, number: u32) -> bool {
    abi == Abi::X86_64 && number >= X32_BIT && number != u32::MAX
}

/// The syscalls of a recording that a filter is asked about.
fn syscalls(recording: &Recording) -> impl Iterator<Item = (Abi, &Syscall)> {
    recording
        .syscalls
        .iter()
        .flat_map(|(abi, syscalls)| syscalls.iter().map(|syscall| (*abi, syscall)))
        .filter(|(abi, syscall)| !is_never_filtered(*abi, syscall.number))
}

/// What the containers' own profiles denied.
pub(super) fn denials(recordings: &[Recording]) -> impl Iterator<Item = (Abi, &Denial)> {
    recordings.iter().flat_map(Recording::denials).filter(|(_, denial)| denial.by() == DeniedBy::Container)
}

/// The start-up calls that a container's recording can't have: it had no filter to mark them, or began too late.
/// Without them no container starts, so even `exact` takes those of its own runtime.
fn missing_runtime_sets(recordings: &[Recording]) -> impl Iterator<Item = &'static RuntimeSet> {
    let unseen = recordings.iter().filter(|recording| recording.boundary.method != BoundaryMethod::Filter);
    unseen.flat_map(|recording| recording.target.containers()).flat_map(|container| {
        let own = container.runtime.as_deref().map(runtimes::find).unwrap_or_default();
        if own.is_empty() { runtimes::sets().iter().collect() } else { own }
    })
}

/// True where an application's own syscall is in the recording.
pub fn has_application(recording: &Recording) -> bool {
    syscalls(recording).any(|(_, syscall)| syscall.origins.contains(&Origin::Application))
}

/// The native ABIs of the machines recorded on: what the runtimes there use.
fn native_abis(recordings: &[Recording]) -> BTreeSet<Abi> {
    recordings
        .iter()
        .filter_map(|recording| Abi::of_machine(&recording.host.architecture)?.first().copied())
        .collect()
}

fn failed_start(denied: &[String]) -> String {
    if denied.is_empty() {
        String::new()
    } else {
        format!("the start failed, as the profile in force denied {}: ", list(denied, LISTED))
    }
}

fn name_list(titles: &[String]) -> String {
    let shown: Vec<_> = titles.iter().take(3).map(|title| format!("{title:?}")).collect();
    match titles.len() {
        0 => "no recording at all".to_owned(),
        count if count > shown.len() => format!("{} and {} more", shown.join(", "), count - shown.len()),
        _ => shown.join(" and "),
    }
}
