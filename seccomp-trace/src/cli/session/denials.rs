//! What filters deny: reading it, and what the kernel program has to know before it can tell.

use std::fs;

use seccomp_trace_common::{Denial as Kept, Denied, answer, inside};

use super::Session;
use crate::{
    abi::Abi,
    filter::{Action, Verdict},
    inspect::cgroup::Hierarchy,
    recording::{Denial, FilterAction},
    tracer::{SlotView, TracerError, text},
};

/// What was never entered in a slot.
#[derive(Clone, Debug, Default)]
pub(super) struct NotEntered {
    /// What filters have denied.
    pub denials: Vec<(Abi, Denial)>,
    /// Who has skipped or emulated calls: the name of a tracer.
    pub tracer: Option<String>,
}

impl Session {
    /// What was denied in a slot; none where nobody looks.
    pub(super) fn denied(&self, slot: u32, view: &SlotView) -> Result<Option<NotEntered>, TracerError> {
        let tracer = self.tracer.get_ref();
        if !tracer.finds_denials() {
            return Ok(None);
        }
        let mut all = NotEntered::default();
        for (key, denied) in tracer.denials(&view.slot, slot)? {
            let Some(abi) = Abi::from_index(usize::from(key.abi)) else { continue };
            match self.judged(view.slot.generation, abi, &key, &denied) {
                Judged::Denied(denial) => all.denials.push((abi, denial)),
                Judged::Skipped => all.tracer = Some(text(&denied.tracer)),
                Judged::Nothing => {}
            }
        }
        Ok(Some(all))
    }

    /// What one kind is, by the programs of the thread's filters; where they are not known, by how many it had.
    fn judged(&self, generation: u32, abi: Abi, key: &Kept, denied: &Denied) -> Judged {
        let seen = answer_of(key.answer, key.errno);
        let is_own = key.own != 0;
        let verdict = self.verdict(generation, abi, key, denied);
        let (action, own_filter, supervised) = match verdict {
            _ if key.answer == answer::SKIPPED => return Judged::Skipped,
            Some(Verdict::LetIn) if key.traced != 0 => return Judged::Skipped,
            Some(Verdict::LetIn) => return Judged::Nothing,
            Some(Verdict::Denied(action)) => (answer_by(action).unwrap_or(seen), false, false),
            Some(Verdict::Notified) => (seen, false, true),
            Some(Verdict::Supervised) => (seen, true, true),
            Some(Verdict::OwnDenied) => (seen, true, false),
            None if key.traced != 0 => return Judged::Skipped,
            None => (seen, is_own, false),
        };
        Judged::Denied(Denial {
            number: key.number,
            name: abi.name(key.number).map(str::to_owned),
            action,
            own_filter,
            supervised,
            count: denied.count,
            first_seen: self.clock.wall(denied.time),
            comm: text(&denied.comm),
        })
    }

    /// Are denials looked for?
    pub fn finds_denials(&self) -> bool {
        self.tracer.get_ref().finds_denials()
    }

    /// Tells the kernel in which calls the threads of a container are that ran before: their entries were not seen.
    pub(super) fn mark_syscall_state_known(
        &mut self,
        slot: u32,
        hierarchy: &Hierarchy,
        path: &str,
    ) -> Result<(), TracerError> {
        if !self.finds_denials() {
            return Ok(());
        }
        self.look_inside(hierarchy, path)?;
        self.tracer.get_ref().mark_syscall_state_known(slot)
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

/// What a kind of what was never entered is.
enum Judged {
    /// A filter has answered.
    Denied(Denial),
    /// A tracer has.
    Skipped,
    /// Nobody: the thread was in it when it came, say.
    Nothing,
}

/// As the filter's program says; none where that says nothing of what comes back.
fn answer_by(action: Action) -> Option<FilterAction> {
    match action {
        Action::Errno(0) => Some(FilterAction::ReturnValue),
        Action::Errno(errno) => Some(FilterAction::Errno(errno)),
        Action::Trap => Some(FilterAction::Trap),
        Action::KillProcess | Action::KillThread => Some(FilterAction::Kill),
        Action::Notify | Action::Trace | Action::Log | Action::Allow => None,
    }
}

/// As the kernel program has seen it.
fn answer_of(kind: u16, errno: u16) -> FilterAction {
    match kind {
        answer::ERRNO => FilterAction::Errno(errno),
        answer::TRAP => FilterAction::Trap,
        answer::KILL => FilterAction::Kill,
        _ => FilterAction::ReturnValue,
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
