//! What each runtime calls between loading the filter and the application's execve, by version and by
//! how the container is started. Data: `runtimes.json`; its `measured` sets are rewritten by
//! `cargo xtask measure-runtimes`, its `documented` ones are kept by hand.

mod table;

use std::sync::LazyLock;

pub use table::{DataOrigin, RuntimeSet, RuntimeTable, Variant};

static TABLE: LazyLock<RuntimeTable> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "compiled in, and read by this module's tests")]
    serde_json::from_str(include_str!("runtimes.json")).expect("runtimes.json is valid")
});

/// All sets.
pub fn sets() -> &'static [RuntimeSet] {
    &TABLE.sets
}

/// What [`find`] takes, for a message: each runtime, and each with its version.
pub fn names() -> Vec<String> {
    let mut names: Vec<_> = sets()
        .iter()
        .flat_map(|set| [set.runtime.clone(), format!("{}-{}", set.runtime, set.version)])
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The sets of a runtime of every version (`runc`) or of one (`runc-1.1.5`); empty for an unknown name.
pub fn find(name: &str) -> Vec<&'static RuntimeSet> {
    let (runtime, version) =
        name.split_once('-').map_or((name, None), |(name, version)| (name, Some(version)));
    sets()
        .iter()
        .filter(|set| set.runtime == runtime && version.is_none_or(|version| set.version == version))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Abi;

    #[test]
    fn every_call_is_a_syscall_and_no_count_exceeds_the_runs() {
        for set in sets() {
            for (name, count) in &set.calls {
                assert!(Abi::X86_64.number(name).is_some(), "{name}");
                assert!(count.is_none_or(|count| set.runs.is_some_and(|runs| count <= runs)), "{name}");
            }
            assert!(set.calls.contains_key("close"), "{} {}", set.runtime, set.version);
        }
    }

    #[test]
    fn each_set_stands_once_by_each_kind_of_origin() {
        let key = |set: &RuntimeSet| {
            let measured = matches!(set.origin, DataOrigin::Measured { .. });
            (set.runtime.clone(), set.version.clone(), set.variant, measured)
        };
        let mut keys: Vec<_> = sets().iter().map(key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), sets().len());
    }

    #[test]
    fn the_file_is_as_a_tool_would_write_it() {
        let written = serde_json::to_string_pretty(&*TABLE).unwrap() + "\n";
        assert!(written == include_str!("runtimes.json"), "rewriting the file would change its layout");
    }

    #[test]
    fn a_runtime_is_found_by_its_name_and_by_its_version() {
        for name in names() {
            assert!(!find(&name).is_empty(), "{name}");
        }
        for (name, version) in [("runc", "1.1.5"), ("runc", "1.3.6"), ("crun", "1.8.1"), ("crun", "1.28")] {
            let versions = find(&format!("{name}-{version}"));
            assert!(versions.iter().all(|set| set.runtime == name && set.version == version));
            assert!(versions.len() >= 2 && versions.len() < find(name).len());
        }
        for unknown in ["runc-9", "runc-", "", "-", "youki"] {
            assert_eq!(find(unknown), Vec::<&RuntimeSet>::new(), "{unknown}");
        }
    }
}
