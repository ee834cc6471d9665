//! What is united into one recording (`--group-by`): by default the containers that have one name after another.

use std::collections::BTreeMap;

use super::recorder::Record;
use crate::{
    cli::{
        results::{OutputAllocator, OutputPaths},
        session::{RecordingId, Session},
    },
    recording::{Group, GroupBy, Recording, Target},
    tracer::TracerError,
};

/// A recording to be written, by its number.
pub type GroupId = usize;

/// Everything that gets files of its own.
#[derive(Debug, Default)]
pub struct Groups {
    by: GroupBy,
    all: Vec<Members>,
    of_containers: BTreeMap<Group, GroupId>,
}

/// One recording's containers, and where it goes.
#[derive(Debug)]
struct Members {
    /// None for a cgroup without an engine, which stands alone.
    group: Option<Group>,
    subjects: Vec<RecordingId>,
    plan: OutputPaths,
}

impl Members {
    fn merge(&self, mut recordings: Vec<Recording>) -> Option<Recording> {
        match &self.group {
            Some(group) => group.merge(recordings),
            None => recordings.pop(),
        }
    }
}

impl Groups {
    /// None yet.
    pub fn new(by: GroupBy) -> Self {
        Self { by, ..Self::default() }
    }

    /// Puts a recording where it belongs; a new group gets its files. What a container is called then decides, whatever
    /// it is called later.
    pub fn add(&mut self, subject: RecordingId, target: &Target, results: &mut OutputAllocator) -> GroupId {
        let Target::Container(container) = target else {
            return self.add_alone(subject, results.plan(target));
        };
        let group = self.by.group(container);
        if let Some(id) = self.of_containers.get(&group)
            && let Some(members) = self.all.get_mut(*id)
        {
            members.subjects.push(subject);
            return *id;
        }
        let plan = match group.by {
            GroupBy::Container => results.plan(target),
            by => results.plan(&Target::Group { by, name: group.name.clone(), containers: Vec::new() }),
        };
        let id = self.add_alone(subject, plan);
        if let Some(members) = self.all.get_mut(id) {
            members.group = Some(group.clone());
        }
        self.of_containers.insert(group, id);
        id
    }

    /// A recording that is united with no other one.
    pub fn add_alone(&mut self, subject: RecordingId, plan: OutputPaths) -> GroupId {
        self.all.push(Members { group: None, subjects: vec![subject], plan });
        self.all.len() - 1
    }

    /// Where a recording goes.
    pub fn plan(&self, group: GroupId) -> Option<&OutputPaths> {
        self.all.get(group).map(|members| &members.plan)
    }

    /// A recording as it stands, with its places.
    pub fn now(
        &self,
        group: GroupId,
        session: &mut Session,
    ) -> Result<Option<(Recording, &OutputPaths)>, TracerError> {
        let Some(members) = self.all.get(group) else { return Ok(None) };
        let mut recordings = Vec::new();
        for subject in &members.subjects {
            recordings.extend(session.now(*subject)?);
        }
        Ok(members.merge(recordings).map(|recording| (recording, &members.plan)))
    }

    /// Those recordings in which something is new, with their places.
    pub fn changed(&self, session: &mut Session) -> Result<Vec<(Recording, &OutputPaths)>, TracerError> {
        let mut changed = Vec::new();
        for members in &self.all {
            let mut last = None;
            for subject in &members.subjects {
                last = session.checkpoint(*subject)?.or(last);
            }
            let Some(last) = last else { continue };
            let recordings = match members.subjects.as_slice() {
                [_] => vec![last],
                all => {
                    let subjects =
                        all.iter().filter_map(|id| Some(session.subject(*id)?.builder.build(false)));
                    subjects.collect()
                }
            };
            changed.extend(members.merge(recordings).map(|recording| (recording, &members.plan)));
        }
        Ok(changed)
    }

    /// The recordings to be written, with their places. Checkpoints of which nothing is to be written are removed.
    pub fn finish(self, mut recordings: BTreeMap<GroupId, Vec<Recording>>) -> Vec<(Recording, OutputPaths)> {
        let mut finished = Vec::new();
        for (id, members) in self.all.into_iter().enumerate() {
            let united = recordings.remove(&id).and_then(|recordings| members.merge(recordings));
            match united {
                Some(recording) => finished.push((recording, members.plan)),
                None => members.plan.remove_checkpoint(),
            }
        }
        finished
    }
}

impl Record<'_> {
    /// A container that runs, and of which is known what it is, has its files.
    pub fn assign_output(&mut self, id: &str) {
        let Some(known) = self.known.get_mut(id) else { return };
        let Some(subject_id) = known.subject else { return };
        let Some(subject) = self.session.subject(subject_id) else { return };
        if known.group.is_none() && known.is_described && subject.has_run {
            known.group = Some(self.groups.add(subject_id, subject.builder.target(), &mut self.results));
        }
    }
}
