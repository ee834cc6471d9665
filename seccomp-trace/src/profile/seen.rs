//! Which ABI made which calls, and what a profile of several ABIs thereby allows too much.

use std::collections::{BTreeMap, BTreeSet};

use super::Reason;
use crate::abi::Abi;
use crate::tables::never::is_never_filtered;

/// Which ABI made which calls.
#[derive(Default)]
pub(super) struct Seen {
    names: BTreeMap<Abi, BTreeSet<String>>,
}

impl Seen {
    /// An ABI, also by a number without a name alone: that ABI must not kill either.
    pub(super) fn add_abi(&mut self, abi: Abi) {
        self.names.entry(abi).or_default();
    }

    pub(super) fn add(&mut self, abi: Abi, name: &str) {
        self.names.entry(abi).or_default().insert(name.to_owned());
    }

    /// The ABIs seen.
    pub(super) fn abis(&self) -> BTreeSet<Abi> {
        self.names.keys().copied().collect()
    }

    fn has(&self, abi: Abi, name: &str) -> bool {
        self.names.get(&abi).is_some_and(|names| names.contains(name))
    }

    /// What each of `architectures` may do only because another one needs it: a rule's name counts under all of them.
    pub(super) fn over_allowed(
        &self,
        architectures: &BTreeSet<Abi>,
        allowed: &BTreeMap<String, BTreeSet<Reason>>,
        native: &BTreeSet<Abi>,
    ) -> BTreeMap<Abi, BTreeSet<String>> {
        let is_needed = |abi: Abi, reason: &Reason| match reason {
            Reason::Always(_) | Reason::Portable(_) => true,
            Reason::RuntimeStart { .. } => native.contains(&abi),
            Reason::Seen(_) | Reason::Denied(_) | Reason::Supervised | Reason::CloneFallback => false,
        };
        let mut over_allowed: BTreeMap<Abi, BTreeSet<String>> = BTreeMap::new();
        for abi in architectures {
            for (name, reasons) in allowed {
                if self.has(*abi, name) || reasons.iter().any(|reason| is_needed(*abi, reason)) {
                    continue;
                }
                if abi.number(name).is_some_and(|number| !is_never_filtered(*abi, number)) {
                    over_allowed.entry(*abi).or_default().insert(name.clone());
                }
                if let Some(through) = abi.multiplexer(name).filter(|through| !self.has(*abi, through)) {
                    over_allowed.entry(*abi).or_default().insert(format!("{through}({name})"));
                }
            }
        }
        // Nothing is lent where there is one alone.
        over_allowed.retain(|_, _| architectures.len() > 1);
        over_allowed
    }
}
