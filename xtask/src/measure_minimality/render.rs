//! From the data to the document.

use super::document::{Call, Effect, Minimality, Program, Rule};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const EFFECTS: [(Effect, &str); 3] = [
    (Effect::Fatal, "fatal"),
    (Effect::ChangesBehaviour, "changes behaviour"),
    (Effect::Tolerated, "tolerated"),
];

/// The whole document.
pub fn document(measured: &Minimality) -> String {
    let Minimality { date, kernel, engine, runtime, starts, programs, .. } = measured;
    let mut text = format!(
        "# What each call of a profile is for\n\n\
         Four containers, each under the profile that `seccomp-trace record` made of it, were started with one of its calls taken out, one call \
         after the other. Measured on {date} with {engine}, {runtime} and Linux {kernel} by `cargo xtask measure-minimality`, which writes \
         [minimality.json](minimality.json) and this page.\n\n\
         - **fatal**: the container does not start, ends on the way, or ends with another exit code.\n\
         - **changes behaviour**: it starts and runs, and what it answers or prints is not the same, or nothing at all.\n\
         - **tolerated**: it worked the same in {starts} of {starts} starts. That does not make the call needless: a C library or a program \
         that is denied one call takes another, or goes on without what it asked for (a name for a thread, a setting of the terminal, memory given \
         back); another runtime, or another version, makes it to start the container; it is made only when a signal or another thread comes in \
         between; or the exercise does not look at what it is for. Each is in for the reason beside it, and none without one.\n\n\
         The calls are those of the profile as it is made by default, with the start-up calls of every known runtime. A rule that gives an error of \
         its own (ENOSYS for clone3) was taken out like the others.\n\n\
         | container | version | rules | fatal | changes behaviour | tolerated | tolerated and seen | tolerated and only added |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for program in programs {
        let count = |effect| program.calls.values().filter(|call| call.effect == effect).count();
        let seen = of(program, Effect::Tolerated).filter(|(_, call)| is_seen(call)).count();
        let tolerated = count(Effect::Tolerated);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {tolerated} | {seen} | {} |",
            program.name,
            program.version,
            program.calls.len(),
            count(Effect::Fatal),
            count(Effect::ChangesBehaviour),
            tolerated - seen,
        );
    }
    programs.iter().for_each(|program| section(&mut text, program));
    text
}

fn of(program: &Program, effect: Effect) -> impl Iterator<Item = (&String, &Call)> {
    program.calls.iter().filter(move |(_, call)| call.effect == effect)
}

fn is_seen(call: &Call) -> bool {
    call.reasons.iter().any(|reason| reason.starts_with("seen: "))
}

fn section(text: &mut String, program: &Program) {
    let _ = write!(
        text,
        "\n## {}\n\n| call | without it | what was seen | why it is in |\n|---|---|---|---|\n",
        program.name
    );
    for (effect, name) in EFFECTS {
        for (call, its) in of(program, effect) {
            let rule = if its.rule == Rule::Errno { " (its errno)" } else { "" };
            let seen = its.seen.as_deref().unwrap_or_default();
            let _ = writeln!(text, "| `{call}`{rule} | {name} | {seen} | {} |", reasons(its));
        }
    }
}

/// The reasons in short: who made it, and the runtimes with their versions.
fn reasons(call: &Call) -> String {
    let mut parts = Vec::new();
    let mut runtimes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for reason in &call.reasons {
        let start = reason.strip_suffix(" needs it to start a container").and_then(|its| its.split_once(' '));
        match (start, reason.strip_prefix("seen: made by the ")) {
            (Some((runtime, version)), _) => runtimes.entry(runtime).or_default().push(version),
            (_, Some(who)) => parts.push(format!("seen: {who}")),
            _ => parts.push(reason.clone()),
        }
    }
    let starts = runtimes.iter().map(|(runtime, versions)| format!("{runtime} {}", versions.join(", ")));
    let starts: Vec<_> = starts.collect();
    if !starts.is_empty() {
        parts.push(format!("start by {}", starts.join(" and ")));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_in_short_and_none_is_left_out() {
        let reasons_of = |all: &[&str]| {
            let reasons_of_it = all.iter().map(|reason| (*reason).to_owned()).collect();
            reasons(&Call {
                rule: Rule::Allow,
                effect: Effect::Tolerated,
                seen: None,
                reasons: reasons_of_it,
            })
        };
        assert_eq!(
            reasons_of(&[
                "seen: made by the application",
                "always: a signal may come",
                "crun 1.28 needs it to start a container",
                "runc 1.1.5 needs it to start a container",
                "runc 1.3.6 needs it to start a container",
            ]),
            "seen: application; always: a signal may come; start by crun 1.28 and runc 1.1.5, 1.3.6"
        );
        assert_eq!(reasons_of(&["ENOSYS, so that"]), "ENOSYS, so that");
    }
}
