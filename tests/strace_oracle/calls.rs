//! System calls by ABI and number: what two witnesses are compared by.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// One syscall numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 32-bit x86.
    I386,
    /// 32-bit pointers in 64-bit mode.
    X32,
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::X86_64 => "x86_64",
            Self::I386 => "i386",
            Self::X32 => "x32",
        })
    }
}

/// ABIs and numbers (x32's without bit 30), with the name that the witness has for it.
pub type Calls = BTreeMap<(Abi, u32), Option<String>>;

/// Their names by ABI; a number that has none stands for itself.
pub fn names(calls: &Calls) -> BTreeMap<Abi, BTreeSet<String>> {
    let mut names: BTreeMap<Abi, BTreeSet<String>> = BTreeMap::new();
    for ((abi, number), name) in calls {
        names.entry(*abi).or_default().insert(name.clone().unwrap_or_else(|| number.to_string()));
    }
    names
}
