//! What a recording can't hold, said aloud: found in its own facts, each with what to do. Pure.

use std::{collections::BTreeSet, mem};

use super::{Boundary, BoundaryMethod, DeniedBy, Recording, Warning};
use crate::report::text::list;

/// The numbers listed in one warning, at most.
const LISTED: usize = 8;

/// The code of what is true of almost every recording: said once, whatever the number of recordings.
pub const VDSO: &str = "vdso";

/// Codes that the facts decide on. One whose fact is no longer true goes: a life that was seen whole makes up for a late one.
const DERIVED: [&str; 15] = [
    "incomplete",
    "missed-runs",
    "lost-events",
    "lost-origins",
    "attached-late",
    "estimated",
    "unknown-boundary",
    "io-uring",
    "unknown-syscalls",
    "denied",
    "denied-by-own-filter",
    "answered-by-engine",
    "answered-by-supervisor",
    "lost-denials",
    VDSO,
];

/// Those that its calls decide on, some of which may be left out of a profile. Of the others whoever traced it may know better
/// what to do.
const OF_CALLS: [&str; 7] = [
    "io-uring",
    "unknown-syscalls",
    "denied",
    "denied-by-own-filter",
    "answered-by-engine",
    "answered-by-supervisor",
    VDSO,
];

const IO_URING: [&str; 3] = ["io_uring_setup", "io_uring_enter", "io_uring_register"];

/// What the vDSO answers without a call, on x86 (arch/x86/entry/vdso/vdso64/vdso64.lds.S, vdso32/vdso32.lds.S). `getrandom` is not
/// among them: it is seeded by a call.
pub const VDSO_CALLS: [&str; 7] = [
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "getcpu",
    "gettimeofday",
    "time",
];

impl Recording {
    /// Brings its warnings up to its facts. Does nothing the second time.
    pub fn warn_of_blind_spots(&mut self) {
        let found = self.blind_spots();
        let is_derived = |its: &Warning| DERIVED.contains(&its.code.as_str());
        let (derived, own): (Vec<_>, Vec<_>) =
            mem::take(&mut self.warnings).into_iter().partition(is_derived);
        for Warning { code, message } in found {
            let better = derived.iter().find(|its| its.code == code && !OF_CALLS.contains(&code.as_str()));
            let message = better.map_or(message, |better| better.message.clone());
            self.warnings.push(Warning { code, message });
        }
        self.warnings.extend(own);
    }

    fn blind_spots(&self) -> Vec<Warning> {
        let (lost, boundary) = (self.lost, self.boundary);
        let seen = self.names();
        let used: Vec<_> = IO_URING.into_iter().filter(|name| seen.contains(name)).collect();
        let unnamed = self.unnamed();
        let [denied, by_own, by_engine, by_supervisor] =
            [DeniedBy::Container, DeniedBy::Program, DeniedBy::Engine, DeniedBy::Supervisor]
                .map(|by| self.denied_names(by));
        let is_hidden = |name: &&str| self.syscalls.keys().any(|abi| abi.number(name).is_some());
        let is_unknown = boundary == Boundary { method: BoundaryMethod::Unknown, attached_late: false };
        let all = [
            (lost.syscalls > 0, "incomplete", format!("{} syscalls were lost: a profile is incomplete; record again", lost.syscalls)),
            (
                lost.missed_runs > 0,
                "missed-runs",
                format!(
                    "the kernel skipped its tracing {} times, for whichever process of this machine: calls may be missing; record again \
                     while fewer processes are at work",
                    lost.missed_runs
                ),
            ),
            (
                lost.events > 0,
                "lost-events",
                format!("{} events were lost: only times and thread names are missing, no syscall; a larger --ring-buffer keeps them", lost.events),
            ),
            (
                lost.task_origins > 0,
                "lost-origins",
                format!("{} tasks lost their origin: their calls count as the application's; record fewer processes at a time to tell them apart", lost.task_origins),
            ),
            (
                boundary.attached_late,
                "attached-late",
                "it ran before it was traced: calls that it made only then are missing; to have them, start it anew \
                 while it is recorded"
                    .to_owned(),
            ),
            (
                boundary.method == BoundaryMethod::Estimated,
                "estimated",
                "it ran without a seccomp filter, so where its own calls begin is an estimate; for an exact profile, \
                 run it under the profile that `seccomp-trace tracing-profile` prints"
                    .to_owned(),
            ),
            (
                is_unknown,
                "unknown-boundary",
                "nothing was seen to start in it, so where its own calls begin is unknown; record it again, from \
                 before it starts"
                    .to_owned(),
            ),
            (
                !used.is_empty(),
                "io-uring",
                format!(
                    "it uses io_uring ({}): what is done through it makes no syscall, so that it is not in the recording \
                     and no profile denies it; where the program can do without, turn it off there, or by sysctl \
                     kernel.io_uring_disabled=2, and record again",
                    used.join(", ")
                ),
            ),
            (
                !unnamed.is_empty(),
                "unknown-syscalls",
                format!(
                    "numbers without a name are called, which no rule can allow: {}; update seccomp-trace where the kernel \
                     has such calls; where it has none they fail with ENOSYS, and under a profile with that (runc) or EPERM (crun)",
                    list(&unnamed, LISTED)
                ),
            ),
            (
                denied.is_some(),
                "denied",
                format!(
                    "the active profile denied {}; code behind these calls may not have run: record again under the profile that \
                     `seccomp-trace tracing-profile` prints",
                    denied.unwrap_or_default()
                ),
            ),
            (
                by_own.is_some(),
                "denied-by-own-filter",
                format!(
                    "denied by a filter that the program loads itself: {}; no rule is made of it",
                    by_own.unwrap_or_default()
                ),
            ),
            (
                by_engine.is_some(),
                "answered-by-engine",
                format!(
                    "answered by a supervisor of its engine (SCMP_ACT_NOTIFY): {}; a profile made of this recording has no listener, and denies \
                     them: give them a rule with SCMP_ACT_NOTIFY, and the profile its listenerPath, by hand",
                    by_engine.unwrap_or_default()
                ),
            ),
            (
                by_supervisor.is_some(),
                "answered-by-supervisor",
                format!(
                    "answered by the program's own supervisor or tracer: {}; they are allowed, since a denial would come before it",
                    by_supervisor.unwrap_or_default()
                ),
            ),
            (
                lost.denials > 0,
                "lost-denials",
                format!("{} denials were lost: what was denied is not all here; record again", lost.denials),
            ),
            (
                VDSO_CALLS.into_iter().filter(is_hidden).any(|name| !seen.contains(name)),
                VDSO,
                "what the vDSO answers without a syscall (clock_gettime, gettimeofday, time, getcpu) is in no recording; if \
                 the profile is for machines or sandboxes without a vDSO clock, add --portable"
                    .to_owned(),
            ),
        ];
        let found = all.into_iter().filter(|(is_so, ..)| *is_so);
        found.map(|(_, code, message)| Warning { code: code.to_owned(), message }).collect()
    }

    /// The names seen, under any ABI.
    fn names(&self) -> BTreeSet<&str> {
        let all = self.syscalls.iter().flat_map(|(abi, calls)| calls.iter().map(move |call| (*abi, call)));
        all.filter_map(|(abi, call)| call.name_in(abi)).collect()
    }

    /// `x86_64 999`, for each number that no rule can name.
    fn unnamed(&self) -> Vec<String> {
        let all = self.syscalls.iter().flat_map(|(abi, calls)| calls.iter().map(move |call| (*abi, call)));
        let unnamed = all.filter(|(abi, call)| call.name_in(*abi).is_none());
        unnamed.map(|(abi, call)| format!("{abi} {}", call.number)).collect()
    }

    /// The same without what only joined processes did: `docker exec`, health checks.
    #[must_use]
    pub fn without_joined(&self) -> Self {
        let mut without = self.clone();
        for calls in without.syscalls.values_mut() {
            calls.iter_mut().for_each(|call| call.origins.retain(|origin| *origin != super::Origin::Joined));
            calls.retain(|call| !call.origins.is_empty());
        }
        without.syscalls.retain(|_, calls| !calls.is_empty());
        without
    }
}

#[cfg(test)]
mod tests;
