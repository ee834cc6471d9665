//! A recording in the middle of its session.

use super::{
    RecordingId, Session,
    recording_state::{RecordingState, SlotSnapshot},
};
use crate::{recording::Recording, tracer::TracerError};

impl Session {
    /// A recording as it stands, where anything has come since this was asked last.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn checkpoint(&mut self, id: RecordingId) -> Result<Option<Recording>, TracerError> {
        let Some(subject) = self.subjects.get_mut(&id) else { return Ok(None) };
        let is_changed = subject.take_changed();
        let is_stirred = subject.slots.iter().filter(|slot| self.dirty_slots.remove(slot)).count() > 0;
        if !is_changed && !is_stirred {
            return Ok(None);
        }
        let looks = self.merge_snapshot(id)?;
        let Some(subject) = self.subjects.get_mut(&id) else { return Ok(None) };
        let is_changed = subject.take_changed() || is_changed;
        Ok(is_changed.then(|| as_it_stands(subject, &looks)))
    }

    /// A recording as it stands.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn now(&mut self, id: RecordingId) -> Result<Option<Recording>, TracerError> {
        let looks = self.merge_snapshot(id)?;
        Ok(self.subjects.get(&id).map(|subject| as_it_stands(subject, &looks)))
    }

    /// Takes the truth of all slots of a recording.
    pub(super) fn merge_snapshot(&mut self, id: RecordingId) -> Result<Vec<SlotSnapshot>, TracerError> {
        self.take_programs();
        let Some(subject) = self.subjects.get(&id) else { return Ok(Vec::new()) };
        let looks: Vec<_> = subject.slots.iter().map(|slot| self.look(*slot)).collect::<Result<_, _>>()?;
        looks.iter().for_each(|look| self.publish_dropped(look));
        if let Some(subject) = self.subjects.get_mut(&id) {
            looks.iter().for_each(|look| subject.merge_snapshot(look));
        }
        Ok(looks)
    }
}

/// What is the application's if this is the end; it may yet turn out not to be.
fn as_it_stands(subject: &RecordingState, looks: &[SlotSnapshot]) -> Recording {
    let mut subject = subject.clone();
    looks.iter().for_each(|look| subject.attribute_tentative(look));
    subject.builder.build(false)
}
