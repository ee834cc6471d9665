//! What is known of each container: from the engine's list, its events and its answers, in any order.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{engines::EngineId, groups::GroupId};
use crate::{cli::session::RecordingId, recording::Container};

/// A container stopped for so long has ended; one started again before goes on in the same recording.
const RESTART_WITHIN: Duration = Duration::from_secs(5);
/// One removed for so long has ended; one made anew under its name before (by Compose) goes on in the same recording.
const RECREATE_WITHIN: Duration = Duration::from_secs(2);

/// What becomes of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Its engine has not named it yet: recorded until that is known.
    Undecided,
    /// Asked for.
    Selected,
    /// Nobody asked for it.
    Unselected,
}

/// Is it running?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It has not run while we watched.
    NotYet,
    /// It runs, or has a cgroup.
    Running,
    /// It has ended, and may start again.
    Stopped(Instant),
    /// It is gone for good.
    Removed(Instant),
}

impl RunState {
    /// Has it ended?
    pub fn is_over(self) -> bool {
        match self {
            Self::NotYet | Self::Running => false,
            Self::Stopped(since) => since.elapsed() > RESTART_WITHIN,
            Self::Removed(since) => since.elapsed() > RECREATE_WITHIN,
        }
    }
}

/// What is known of calls that went nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// None did.
    #[default]
    Nothing,
    /// Some did, for this reason: to be told where it is asked for.
    Untold(String),
    /// That is told.
    Told,
}

/// One container or cgroup.
#[derive(Debug)]
pub struct ContainerState {
    /// Its recording; none where nothing of it is recorded.
    pub subject: Option<RecordingId>,
    /// The engine that has named it.
    pub engine: Option<EngineId>,
    /// What its engine says of it; none for a cgroup, and before it has said anything.
    pub container: Option<Container>,
    /// Its newest name, where an event has told one: a description under way may still have the old one.
    pub renamed: Option<String>,
    /// Its engine was away, and has not named it since.
    pub is_unconfirmed: bool,
    /// Calls of it were thrown away, because nobody knew it.
    pub is_discarded: bool,
    /// That it ran before is said.
    pub is_said_late: bool,
    /// Has its engine said all that it knows? Its events say less: no runtime, no digest.
    pub is_described: bool,
    /// What becomes of it. Judged anew with everything that its engine says.
    pub selection: Selection,
    /// It is a pod's pause container: left out, unless it is named itself.
    pub is_sandbox: bool,
    /// It can't be recorded truly, whoever asked for it.
    pub is_refused: bool,
    /// Is it running?
    pub run_state: RunState,
    /// Answers that will come of those asked about it.
    pub pending_lookups: usize,
    /// One of those asked last may yet know it: it could not answer.
    pub lookup_inconclusive: bool,
    /// How often every engine has answered that it knows no such container.
    pub not_found_count: u8,
    /// Did calls of it go nowhere?
    pub missed: Missed,
    /// It came while we were held up: what the engine said of it then may be lost.
    pub is_unheard: bool,
    /// The recording that it is part of; given once it runs, and its engine has said what it is.
    pub group: Option<GroupId>,
}

impl ContainerState {
    /// Nothing known.
    pub fn new() -> Self {
        Self {
            subject: None,
            engine: None,
            container: None,
            renamed: None,
            is_unconfirmed: false,
            is_discarded: false,
            is_said_late: false,
            is_described: false,
            selection: Selection::Undecided,
            is_sandbox: false,
            is_refused: false,
            run_state: RunState::NotYet,
            pending_lookups: 0,
            lookup_inconclusive: false,
            not_found_count: 0,
            missed: Missed::Nothing,
            is_unheard: false,
            group: None,
        }
    }

    /// Is nothing lost with it when its container is gone?
    pub fn is_discardable(&self) -> bool {
        self.selection == Selection::Unselected || (self.container.is_none() && !self.has_run())
    }

    /// Has it come while we watched, recorded or not?
    fn has_run(&self) -> bool {
        self.subject.is_some() || self.missed != Missed::Nothing
    }

    /// Is it recorded, and nobody has said yet what it is, or that nobody knows it?
    pub fn awaits_identity(&self) -> bool {
        let is_unheard = self.selection == Selection::Undecided && self.not_found_count == 0;
        self.has_run() && (self.pending_lookups > 0 || is_unheard)
    }

    /// Is there more to hear? Where all engines denied it twice, a second apart, nobody knows it: it is another
    /// engine's, or already gone.
    pub fn needs_lookup(&self) -> bool {
        let may_matter = self.selection != Selection::Unselected && self.has_run();
        may_matter
            && !self.is_described
            && self.pending_lookups == 0
            && self.not_found_count < NOT_FOUND_ENOUGH
    }
}

/// See [`ContainerState::needs_lookup`].
pub const NOT_FOUND_ENOUGH: u8 = 2;

/// All of them: containers by their ids, cgroups by their paths (which begin with `/`).
pub type ContainerTable = BTreeMap<String, ContainerState>;
