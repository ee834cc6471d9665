//! From starts to the table's entries.

use super::table::{DataOrigin, RuntimeSet, RuntimeTable, Variant};
use super::trace::Start;
use std::collections::{BTreeMap, BTreeSet};

/// One entry, of all the starts that belong to it. None where there is no start.
pub fn set(runtime: &str, version: &str, variant: Variant, starts: &[&Start]) -> Option<RuntimeSet> {
    let first = starts.first()?;
    let names: BTreeSet<&String> = starts.iter().flat_map(|start| &start.calls).collect();
    let count = |name: &str| starts.iter().filter(|start| start.calls.contains(name)).count();
    let number = |count: usize| u32::try_from(count).ok();
    Some(RuntimeSet {
        runtime: runtime.to_owned(),
        version: version.to_owned(),
        variant,
        origin: DataOrigin::Measured {
            date: first.date.clone(),
            kernel: first.kernel.clone(),
            engine: "none".to_owned(),
        },
        runs: number(starts.len()),
        calls: names.into_iter().map(|name| (name.clone(), number(count(name)))).collect(),
    })
}

/// Puts measured entries in the place of older ones of the same runtime, version and variant. Documented ones
/// stay, and so do those of other versions.
pub fn put(table: &mut RuntimeTable, measured: Vec<RuntimeSet>) {
    for set in measured {
        let is_older = |old: &RuntimeSet| key(old) == key(&set) && is_measured(old);
        table.sets.retain(|old| !is_older(old));
        table.sets.push(set);
    }
    table.sets.sort_by(|a, b| (key(a), is_measured(a)).cmp(&(key(b), is_measured(b))));
}

/// In words, how each measured entry differs from what is documented of the same.
pub fn differences(table: &RuntimeTable) -> Vec<String> {
    let mut lines = Vec::new();
    for measured in table.sets.iter().filter(|set| is_measured(set)) {
        let documented = table.sets.iter().filter(|set| key(set) == key(measured) && !is_measured(set));
        for documented in documented {
            let only = |a: &RuntimeSet, b: &RuntimeSet| {
                let names = a.calls.keys().filter(|name| !b.calls.contains_key(*name));
                names.cloned().collect::<Vec<_>>().join(" ")
            };
            for (what, names) in
                [("new", only(measured, documented)), ("not seen", only(documented, measured))]
            {
                if !names.is_empty() {
                    let RuntimeSet { runtime, version, variant, .. } = measured;
                    lines.push(format!("{runtime} {version} {variant}: {what}: {names}"));
                }
            }
        }
    }
    lines
}

fn is_measured(set: &RuntimeSet) -> bool {
    matches!(set.origin, DataOrigin::Measured { .. })
}

fn key(set: &RuntimeSet) -> (&str, Vec<u32>, Variant) {
    // 1.28 comes after 1.8.
    let version = set.version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    (&set.runtime, version, set.variant)
}

/// The counts of calls that not every start made: they depend on the moment, or on the way.
pub fn not_always(set: &RuntimeSet) -> BTreeMap<&str, u32> {
    let counts = set.calls.iter().filter_map(|(name, count)| Some((name.as_str(), (*count)?)));
    counts.filter(|(_, count)| Some(*count) != set.runs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(calls: &[&str]) -> Start {
        let calls = calls.iter().map(|&call| call.to_owned()).collect();
        Start { cgroup: "/a".into(), date: "2026-01-31".into(), kernel: "6.18".into(), calls }
    }

    fn measured(version: &str, calls: &[&[&str]]) -> RuntimeSet {
        let starts: Vec<_> = calls.iter().map(|calls| start(calls)).collect();
        set("crun", version, Variant::Default, &starts.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn each_call_is_counted_once_a_start() {
        let set = measured("1.8.1", &[&["close", "execve"], &["close", "futex"]]);
        assert_eq!(set.runs, Some(2));
        let counts: Vec<_> = set.calls.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(counts, [("close", Some(2)), ("execve", Some(1)), ("futex", Some(1))]);
        assert_eq!(not_always(&set).into_keys().collect::<Vec<_>>(), ["execve", "futex"]);
        assert_eq!(super::set("crun", "1.8.1", Variant::User, &[]), None);
    }

    #[test]
    fn a_new_measurement_takes_the_place_of_its_like_alone() {
        let origin = DataOrigin::Documented { source: "a letter".into() };
        let documented = RuntimeSet { origin, ..measured("1.8.1", &[&["close", "write"]]) };
        let mut table = RuntimeTable { about: String::new(), sets: vec![documented.clone()] };
        put(&mut table, vec![measured("1.28", &[&["read"]]), measured("1.8.1", &[&["read"]])]);
        let new = measured("1.8.1", &[&["close", "execve"]]);
        put(&mut table, vec![new.clone()]);
        assert_eq!(table.sets, [documented, new, measured("1.28", &[&["read"]])]);
        assert_eq!(
            differences(&table),
            ["crun 1.8.1 default: new: execve", "crun 1.8.1 default: not seen: write"]
        );
    }
}
