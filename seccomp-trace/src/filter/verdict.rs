//! Who has answered a call that was never entered.

use super::{Action, Call, Program, strictest};

/// What a container's filters and its program's own do about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The container's denies it, whatever others do.
    Denied(Action),
    /// The container's hands it to a supervisor of its engine (`SCMP_ACT_NOTIFY`).
    Notified,
    /// The container's lets it in, and one of the program's own hands it to a supervisor or a tracer: the kernel takes a denial before
    /// that, so the program needs the container's leave.
    Supervised,
    /// The container's lets it in, and one of the program's own denies it.
    OwnDenied,
    /// None denies it.
    LetIn,
}

impl Verdict {
    /// Of a thread's filters, each kind with the one that was loaded last first.
    #[must_use]
    pub fn of(own: &[&Program], containers: &[&Program], call: &Call) -> Self {
        let [its, theirs] = [own, containers].map(|programs| strictest(programs.iter().copied(), call));
        match (theirs, its) {
            (Action::Allow | Action::Log, Action::Allow | Action::Log) => Self::LetIn,
            (Action::Notify, Action::Allow | Action::Log) => Self::Notified,
            (Action::Allow | Action::Log | Action::Notify, Action::Notify | Action::Trace) => {
                Self::Supervised
            }
            (Action::Allow | Action::Log | Action::Notify, _) => Self::OwnDenied,
            (denied, _) => Self::Denied(denied),
        }
    }
}
