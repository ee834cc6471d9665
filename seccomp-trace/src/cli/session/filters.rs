//! The programs of filters, as the kernel program takes them, and what they say of what was denied.

use std::collections::BTreeMap;

use seccomp_trace_common::{Denial as Kept, Denied, FILTERS_PER_SLOT, FilterHead, Slot, flag};
use sha2::{Digest as _, Sha256};

use super::Session;
use crate::{
    abi::Abi,
    filter::{Call, Kind, Program, Verdict},
    recording::Filter,
};

/// Those of all slots that are somebody's.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// By slot and generation, and by the number there.
    slots: BTreeMap<(u32, u32), BTreeMap<u32, Link>>,
}

/// One filter.
#[derive(Debug)]
struct Link {
    /// The number of the one below it; 0: there is none.
    below: u32,
    program: Program,
}

impl Filters {
    fn add(&mut self, head: &FilterHead, code: &[u8]) {
        match Program::parse(code) {
            Ok(program) => {
                let links = self.slots.entry((head.slot, head.generation)).or_default();
                links.insert(head.id, Link { below: head.below, program });
            }
            Err(error) => log::debug!("filter {} of slot {}: {error}", head.id, head.slot),
        }
    }

    /// From a filter to the first one that was loaded; none where one of them is not known.
    fn chain(&self, slot: u32, generation: u32, top: u32) -> Option<Vec<&Program>> {
        let links = self.slots.get(&(slot, generation))?;
        let (mut chain, mut next) = (Vec::new(), top);
        // A number that the kernel's memory was tampered with to have leads nowhere.
        while next != 0 && chain.len() <= FILTERS_PER_SLOT as usize {
            let link = links.get(&next)?;
            chain.push(&link.program);
            next = link.below;
        }
        Some(chain).filter(|_| top != 0)
    }
}

impl Session {
    /// Takes the programs that the kernel program has put out.
    pub(super) fn take_programs(&mut self) {
        while let Some((head, code)) = self.tracer.get_mut().next_program() {
            self.filters.add(&head, &code);
        }
    }

    /// A slot is nobody's any more.
    pub(super) fn drop_programs(&mut self, slot: u32) {
        self.filters.slots.retain(|(number, _), _| *number != slot);
    }

    /// What the filters of the thread say; none where they are not known.
    pub(super) fn verdict(&self, generation: u32, abi: Abi, key: &Kept, denied: &Denied) -> Option<Verdict> {
        let chain = self.filters.chain(key.slot, generation, key.filter)?;
        let (own, containers) = chain.split_at_checked(usize::from(key.own))?;
        Some(Verdict::of(own, containers, &Call::new(abi, key.number, denied.arguments)))
    }

    /// The filter that a slot's application came with; none where that is not known.
    pub(super) fn container_filter(&self, number: u32, slot: &Slot) -> Option<Filter> {
        let below = if slot.flags & flag::RUN_COMMAND != 0 { 0 } else { slot.filters_at_entry };
        let count = slot.filters_at_exec.checked_sub(below).filter(|_| slot.application > 0)? as usize;
        if count == 0 {
            return Some(Filter { kind: Kind::None, digest: None, instructions: 0 });
        }
        let chain = self.filters.chain(number, slot.generation, u32::try_from(slot.filter).ok()?)?;
        let containers = chain.get(..count)?;
        let mut digest = Sha256::new();
        let mut instructions = 0;
        for program in containers.iter().rev() {
            digest.update(program.to_bytes());
            instructions += program.len() as u64;
        }
        let digest = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let kind = Kind::of(containers, Abi::HOST);
        Some(Filter { kind, digest: Some(format!("sha256:{digest}")), instructions })
    }
}
