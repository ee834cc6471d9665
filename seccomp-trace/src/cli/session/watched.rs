//! What the live view is told of a session: news as it comes, counts when they are asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use seccomp_trace_common::{Counts, Event};

use super::{
    RecordingId, Session,
    recording_state::{self, SlotSnapshot},
};
use crate::{
    abi::Abi,
    live::model::{First, Syscall, Update},
    tracer::{Cost, TracerError, text},
};

/// Takes what the view is told. It must not wait.
pub type UpdateSink = Arc<dyn Fn(Update) + Send + Sync>;

/// Whom a session tells, and what was counted in slots that are gone.
pub(super) struct Watched {
    tell: UpdateSink,
    before: BTreeMap<RecordingId, CallCounts>,
    /// Whose calls were counted when counts were told last.
    counted: BTreeSet<RecordingId>,
}

/// How often each call was made, and those beyond the sets.
#[derive(Clone, Debug, Default)]
struct CallCounts {
    calls: BTreeMap<Syscall, u64>,
    beyond: u64,
}

impl CallCounts {
    fn add(&mut self, counts: &Counts) {
        for (abi, numbers) in Abi::HOST.iter().copied().zip(&counts.calls) {
            for (number, count) in (0..).zip(numbers).filter(|(_, count)| **count > 0) {
                *self.calls.entry((abi, number)).or_default() += count;
            }
        }
        self.beyond += counts.beyond;
    }

    fn update(&self, id: RecordingId, sampled: Option<Timestamp>) -> Update {
        let calls = self.calls.iter().map(|(syscall, count)| (*syscall, *count)).collect();
        Update::Counts { id, calls, beyond: self.beyond, sampled }
    }
}

impl Session {
    /// From now on the live view is told.
    pub fn watch(&mut self, tell: UpdateSink) {
        self.watched = Some(Watched { tell, before: BTreeMap::new(), counted: BTreeSet::new() });
    }

    /// Tells what was seen before anybody watched.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn publish_all(&mut self) -> Result<(), TracerError> {
        let ids: Vec<_> = self.subjects.keys().copied().collect();
        for id in ids {
            self.merge_snapshot(id)?;
            let Some(subject) = self.subjects.get(&id) else { continue };
            for (syscall, origin, first) in subject.builder.seen() {
                let first = first.map(|(time, comm)| First { time, comm });
                self.tell(|| Some(Update::Seen { id, syscall, first, origin: Some(origin) }));
            }
            self.publish_denials(id)?;
        }
        Ok(())
    }

    fn tell(&self, update: impl FnOnce() -> Option<Update>) {
        if let Some(watched) = &self.watched
            && let Some(update) = update()
        {
            (watched.tell)(update);
        }
    }

    /// A sighting, as the kernel program tells it.
    pub(super) fn publish_seen(&self, event: &Event, time: Timestamp) {
        self.tell(|| {
            let first = First { time, comm: text(&event.comm) };
            let abi = usize::from(event.abi);
            self.seen(event.slot, usize::from(event.set), abi, event.number, Some(first))
        });
    }

    /// Sightings of which no news came.
    pub(super) fn publish_dropped(&self, look: &SlotSnapshot) {
        for call in look.calls.iter().filter(|call| !call.told) {
            self.tell(|| self.seen(look.number, call.set, call.abi, call.number, None));
        }
    }

    fn seen(&self, slot: u32, set: usize, abi: usize, number: u32, first: Option<First>) -> Option<Update> {
        let id = *self.owners.get(&slot)?;
        let origin = recording_state::origin(set);
        // In a cgroup without an engine the end says what such a call is; elsewhere it is none of the container's.
        if origin.is_none() && !self.subjects.get(&id)?.is_cgroup() {
            return None;
        }
        Some(Update::Seen { id, syscall: (Abi::from_index(abi)?, number), first, origin })
    }

    /// Denials of which the kernel program has just told: what they are the filters' programs say.
    pub(super) fn publish_new_denials(&mut self) -> Result<(), TracerError> {
        let ids = std::mem::take(&mut self.newly_denied);
        if self.watched.is_none() {
            return Ok(());
        }
        ids.into_iter().try_for_each(|id| self.publish_denials(id))
    }

    /// Nobody asked for it.
    pub(super) fn publish_discarded(&mut self, id: RecordingId) {
        self.tell(|| Some(Update::Discarded(id)));
        if let Some(watched) = &mut self.watched {
            watched.before.remove(&id);
        }
    }

    /// What a slot has counted stays, when it is gone.
    pub(super) fn keep_counts(&mut self, slot: u32) -> Result<(), TracerError> {
        if self.watched.is_none() {
            return Ok(());
        }
        let counts = self.tracer.get_ref().counts(slot)?;
        let owner = self.owners.get(&slot).copied();
        if let (Some(watched), Some(owner), Some(counts)) = (&mut self.watched, owner, counts) {
            let sums = watched.before.entry(owner).or_default();
            sums.add(&counts);
            (watched.tell)(sums.update(owner, None));
        }
        Ok(())
    }

    /// Tells how often each call was made: a sample for the rates, where `is_sample`, which is once a second.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn publish_counts(&mut self, is_sample: bool) -> Result<(), TracerError> {
        let Some(watched) = &mut self.watched else { return Ok(()) };
        let mut sums: BTreeMap<RecordingId, CallCounts> = BTreeMap::new();
        for (slot, id) in &self.owners {
            if let Some(counts) = self.tracer.get_ref().counts(*slot)? {
                let before = || watched.before.get(id).cloned().unwrap_or_default();
                sums.entry(*id).or_insert_with(before).add(&counts);
            }
        }
        let now: BTreeSet<_> = sums.keys().copied().collect();
        let running: BTreeSet<_> = self.owners.values().collect();
        // What has ended keeps its counts.
        for id in watched.counted.difference(&now).filter(|id| running.contains(id)) {
            (watched.tell)(Update::Uncounted(*id));
        }
        watched.counted = now;
        let sampled = is_sample.then(Timestamp::now);
        sums.into_iter().for_each(|(id, sums)| (watched.tell)(sums.update(id, sampled)));
        Ok(())
    }

    /// Tells how often each of a container's calls was denied.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn publish_denials(&mut self, id: RecordingId) -> Result<(), TracerError> {
        self.merge_snapshot(id)?;
        let Some(subject) = self.subjects.get(&id) else { return Ok(()) };
        let denied = subject.builder.denied().cloned().unwrap_or_default();
        for (abi, denial) in
            denied.into_iter().flat_map(|(abi, all)| all.into_iter().map(move |one| (abi, one)))
        {
            self.tell(|| Some(Update::Denied(id, abi, denial)));
        }
        Ok(())
    }

    /// Live events that found no room. No call is lost with them.
    ///
    /// # Errors
    /// Where the counters can't be read.
    pub fn untold(&self) -> Result<u64, TracerError> {
        Ok(self.tracer.get_ref().stats()?.dropped_events)
    }

    /// As [`crate::tracer::Tracer::skips`].
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn skips(&self) -> Result<u64, TracerError> {
        self.tracer.get_ref().skips()
    }

    /// As [`crate::tracer::Tracer::cost`].
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn cost(&self) -> Result<Cost, TracerError> {
        self.tracer.get_ref().cost()
    }

    /// This container's calls are counted, in place of another one's where no counter is left.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn count(&mut self, id: RecordingId) -> Result<(), TracerError> {
        let wanted: BTreeSet<u32> =
            self.subjects.get(&id).map(|subject| subject.slots.clone()).unwrap_or_default();
        for slot in wanted {
            let mut others = self.owners.iter().filter(|(_, owner)| **owner != id).map(|(slot, _)| *slot);
            let counted =
                others.rfind(|slot| self.tracer.get_ref().counts(*slot).is_ok_and(|counts| counts.is_some()));
            self.tracer.get_mut().count(slot, counted)?;
        }
        Ok(())
    }
}
