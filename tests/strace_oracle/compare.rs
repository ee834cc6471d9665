//! What two witnesses of one execution agree on, where they differ, and which differences are explained.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::calls::{Abi, Calls, names};
use super::log::Seen;

/// More would make the witness worthless.
const MOST_EXCEPTIONS: usize = 10;

/// How one call differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// strace saw it, the recording lacks it.
    OnlyStrace,
    /// It was recorded, and strace didn't see it.
    OnlyRecording,
    /// Both saw its number, and call it otherwise; the recording's name stands here.
    OtherName,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OnlyStrace => "only strace saw",
            Self::OnlyRecording => "only the recording has",
            Self::OtherName => "strace has another name for",
        })
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// The call's ABI.
    pub abi: Abi,
    /// The call's name, or number.
    pub call: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.abi, self.call)
    }
}

/// A difference that is right, and why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The programs and stressors in which it is seen.
    pub subjects: Vec<String>,
    /// The difference.
    #[serde(flatten)]
    pub difference: Difference,
    /// Why it is no fault.
    pub why: String,
}

impl Exception {
    /// Whether it explains a difference of `subject`.
    pub fn explains(&self, subject: &str, difference: &Difference) -> bool {
        self.difference == *difference && self.subjects.iter().any(|its| its == subject)
    }
}

/// The committed list.
pub fn exceptions() -> Result<Vec<Exception>> {
    let exceptions: Vec<Exception> = serde_json::from_str(include_str!("exceptions.json"))
        .context("tests/strace_oracle/exceptions.json")?;
    ensure!(exceptions.len() <= MOST_EXCEPTIONS, "more than {MOST_EXCEPTIONS} exceptions: no oracle");
    ensure!(exceptions.iter().all(|exception| !exception.why.is_empty()), "an exception without a reason");
    Ok(exceptions)
}

/// What came out for one execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// The calls on which both agree, by ABI.
    pub agreed: BTreeMap<Abi, BTreeSet<String>>,
    /// The others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Calls that strace can't tell whether they were made, and that were not recorded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undecided: BTreeMap<Abi, BTreeSet<String>>,
}

impl Comparison {
    /// Compares.
    pub fn new(recorded: &Calls, straced: &Seen) -> Self {
        let mut undecided = straced.undecided.clone();
        undecided.retain(|call, _| !recorded.contains_key(call));
        // One that was recorded was made.
        let made = straced.undecided.iter().filter(|(call, _)| recorded.contains_key(call));
        let straced: Calls =
            straced.calls.iter().chain(made).map(|(call, name)| (*call, name.clone())).collect();
        let mut agreed = recorded.clone();
        let mut differences = Vec::new();
        let all: BTreeSet<_> = recorded.keys().chain(straced.keys()).collect();
        for key in all {
            let kind = match (recorded.get(key), straced.get(key)) {
                (None, _) => Kind::OnlyStrace,
                (_, None) => Kind::OnlyRecording,
                // One of them can be older than the call.
                (Some(Some(ours)), Some(Some(theirs))) if ours != theirs => Kind::OtherName,
                _ => continue,
            };
            agreed.remove(key);
            let name = recorded.get(key).or(straced.get(key)).cloned().flatten();
            let call = name.unwrap_or_else(|| key.1.to_string());
            differences.push(Difference { kind, abi: key.0, call });
        }
        differences.sort();
        Self { agreed: names(&agreed), differences, undecided: names(&undecided) }
    }

    /// Whether both saw the same, and strace was sure of it.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.undecided.is_empty()
    }

    /// How many calls one of them saw: all that both saw, and those that differ in a way other than `other`.
    pub fn count(&self, other: Kind) -> usize {
        let agreed: usize = self.agreed.values().map(BTreeSet::len).sum();
        agreed + self.differences.iter().filter(|difference| difference.kind != other).count()
    }

    /// The differences that no exception explains.
    pub fn unexplained(&self, subject: &str, exceptions: &[Exception]) -> Vec<&Difference> {
        let explained = |difference: &&Difference| exceptions.iter().any(|e| e.explains(subject, difference));
        self.differences.iter().filter(|difference| !explained(difference)).collect()
    }
}
