//! What a recording says was denied, as plain text to compare.

use std::collections::BTreeMap;

use seccomp_trace::abi::Abi;
use seccomp_trace::recording::Recording;

/// What was denied, as `NAME ANSWER`, of another ABI `ABI NAME ANSWER`, possibly by a program's own filter `own NAME ANSWER`;
/// with how often.
pub fn denied(recording: &Recording) -> BTreeMap<String, u64> {
    let denials = recording.denials().map(|(abi, denial)| {
        let own = if denial.own_filter { "own " } else { "" };
        (format!("{own}{} {}", denial.title(abi, Some(Abi::HERE[0])), denial.answer), denial.count)
    });
    denials.collect()
}

/// What is expected, likewise.
pub fn times<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected.into_iter().map(|(what, count)| (what.to_owned(), count)).collect()
}
