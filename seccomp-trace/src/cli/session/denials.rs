//! What filters deny: reading it, and what the kernel program has to know before it can tell.

use std::{collections::BTreeSet, fs};

use seccomp_trace_common::{NUMBERS, answer, inside};

use super::{Session, SubjectId, subject::comm};
use crate::{
    abi::Abi,
    inspect::cgroup::Hierarchy,
    recording::{Answer, Denial},
    tracer::{SlotView, TracerError},
};

impl Session {
    /// What was denied in a slot; none where nobody looks.
    pub(super) fn denied(
        &self,
        slot: u32,
        view: &SlotView,
    ) -> Result<Option<Vec<(Abi, Denial)>>, TracerError> {
        let tracer = self.tracer.get_ref();
        if !tracer.finds_denials() {
            return Ok(None);
        }
        let read = tracer.denials(&view.slot, slot)?.into_iter().filter_map(|(key, denied)| {
            let abi = Abi::from_index(usize::from(key.abi))?;
            let denial = Denial {
                number: key.number,
                name: abi.name(key.number).map(str::to_owned),
                answer: answer_of(key.answer, key.errno),
                own_filter: key.own != 0,
                count: denied.count,
                first_seen: self.clock.wall(denied.time),
                comm: comm(&denied.comm),
            };
            Some((abi, denial))
        });
        Ok(Some(read.collect()))
    }

    /// A container's profile allows these calls for some arguments only: they are both made and denied. Where it runs
    /// already, that counts from a thread's next call on.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn pair(
        &mut self,
        id: SubjectId,
        names: &BTreeSet<String>,
        hierarchy: &Hierarchy,
        path: &str,
    ) -> Result<(), TracerError> {
        let Some(subject) = self.subjects.get(&id).filter(|_| self.finds_denials()) else { return Ok(()) };
        let of_abi = |(index, abi): (usize, &Abi)| {
            let abi = *abi;
            names.iter().filter_map(move |name| Some((index, abi.number(name)?)))
        };
        let all = Abi::HERE.iter().enumerate().flat_map(of_abi);
        let calls: Vec<_> = all.filter(|(_, call)| (*call as usize) < NUMBERS).collect();
        for slot in subject.slots.clone() {
            self.tracer.get_ref().set_unsettled(slot, true)?;
            // Twice: see the kernel program's `pair`.
            for _ in 0..2 {
                for (abi, number) in &calls {
                    self.tracer.get_ref().pair(slot, *abi, *number)?;
                }
                self.look_inside(hierarchy, path)?;
            }
            self.tracer.get_ref().set_unsettled(slot, false)?;
        }
        Ok(())
    }

    /// Are denials looked for?
    pub fn finds_denials(&self) -> bool {
        self.tracer.get_ref().finds_denials()
    }

    /// Tells the kernel in which calls the threads of a container are that ran before: their entries were not seen.
    pub(super) fn settle(&mut self, slot: u32, hierarchy: &Hierarchy, path: &str) -> Result<(), TracerError> {
        if !self.finds_denials() {
            return Ok(());
        }
        self.look_inside(hierarchy, path)?;
        self.tracer.get_ref().set_unsettled(slot, false)
    }

    fn look_inside(&mut self, hierarchy: &Hierarchy, path: &str) -> Result<(), TracerError> {
        for path in hierarchy.tree(path) {
            for thread in hierarchy.threads(&path) {
                self.tracer.get_mut().set_inside(thread, call_of(thread))?;
            }
        }
        Ok(())
    }
}

/// As the kernel program has it.
pub(super) fn answer_of(kind: u16, errno: u16) -> Answer {
    match kind {
        answer::ERRNO => Answer::Errno(errno),
        answer::TRAP => Answer::Trap,
        answer::KILL => Answer::Kill,
        _ => Answer::Value,
    }
}

/// The call that a thread is in (proc_pid_syscall(5)). One on a processor is in any.
fn call_of(thread: u32) -> u32 {
    let text = fs::read_to_string(format!("/proc/{thread}/syscall")).unwrap_or_default();
    match text.split(' ').next().and_then(|number| number.parse::<i64>().ok()) {
        Some(-1) => inside::NONE,
        Some(number) => u32::try_from(number).unwrap_or(inside::ANY),
        None => inside::ANY,
    }
}
