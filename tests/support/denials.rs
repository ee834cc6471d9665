//! What a recording says was denied, as plain text to compare.

use std::collections::BTreeMap;

use seccomp_trace::abi::Abi;
use seccomp_trace::recording::{DeniedBy, Recording};

/// What was denied, as `NAME ANSWER`, of another ABI `ABI NAME ANSWER`, by a program's own filter `own NAME ANSWER`, by its supervisor
/// `supervised NAME ANSWER`, by its engine's `engine NAME ANSWER`; with how often.
pub fn denied(recording: &Recording) -> BTreeMap<String, u64> {
    let denials = recording.denials().map(|(abi, denial)| {
        let own = match denial.by() {
            DeniedBy::Container => "",
            DeniedBy::Engine => "engine ",
            DeniedBy::Program => "own ",
            DeniedBy::Supervisor => "supervised ",
        };
        (format!("{own}{} {}", denial.title(abi, Some(Abi::HOST[0])), denial.action), denial.count)
    });
    denials.collect()
}

/// What is expected, likewise.
pub fn times<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected.into_iter().map(|(what, count)| (what.to_owned(), count)).collect()
}
