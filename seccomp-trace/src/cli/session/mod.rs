//! A tracing session: which slot feeds which recording. `run` and `record` both stand on it; it knows neither
//! engines nor files.

mod checkpoint;
mod clock;
mod denials;
mod filters;
mod movers;
mod recording_state;
mod watched;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
pub use recording_state::RecordingState;
use recording_state::SlotSnapshot;
use seccomp_trace_common::{Event, Slot, Stats, event, flag, state};
use tokio::io::unix::AsyncFd;
pub use watched::UpdateSink;
use watched::Watched;

use self::{clock::Clock, filters::Filters, movers::Movers};
use crate::{
    inspect::{cgroup::Hierarchy, host},
    recording::{Host, Lost, Target, builder::Builder},
    tracer::{SlotView, Tracer, TracerError, TrackOutcome},
};

/// A recording in the making, by its number in the session.
pub type RecordingId = usize;

/// What a caller has to decide or should know.
#[derive(Debug)]
pub enum SessionEvent {
    /// A new cgroup has a slot, and nobody knows yet whose it is.
    SlotTaken {
        /// The slot.
        slot: u32,
        /// The cgroup's id.
        cgroup: u64,
        /// The cgroup's path; empty where the kernel program does not know it.
        path: String,
    },
    /// All cgroups of one slot are gone; what it held is in the recording.
    Exited(RecordingId),
    /// A cgroup has tasks of which the calls did not go where they might belong.
    Refused {
        /// The cgroup's id.
        cgroup: u64,
        /// The cgroup's path; empty where the kernel program does not know it.
        path: String,
        /// As [`seccomp_trace_common::Refused::level`].
        level: u32,
    },
    /// There were more such cgroups: nobody knows which.
    RefusedLost,
}

/// What came of attaching to a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachOutcome {
    /// Its first call is, or will be, seen.
    FromTheFirst,
    /// It was running before.
    Late,
    /// It was left out before, and stays so.
    Ignored,
    /// It is not there any more.
    Exited,
}

/// See the module.
pub struct Session {
    tracer: AsyncFd<Tracer>,
    clock: Clock,
    host: Host,
    start: Timestamp,
    subjects: BTreeMap<RecordingId, RecordingState>,
    owners: BTreeMap<u32, RecordingId>,
    next: RecordingId,
    lost_slot_events: u64,
    /// Slots of which there was news since they were looked at.
    dirty_slots: BTreeSet<u32>,
    dropped_events: u64,
    /// What was lost on the way, made up for.
    lost: VecDeque<Event>,
    /// Programs of filters.
    filters: Filters,
    /// Recordings with denials of which the view is not told yet.
    newly_denied: BTreeSet<RecordingId>,
    refused: u64,
    refused_lost: u64,
    /// What is told next.
    pending_events: VecDeque<SessionEvent>,
    /// The live view, where somebody watches.
    watched: Option<Watched>,
}

impl Session {
    /// Takes a running tracer. Must be called inside of a tokio runtime.
    ///
    /// # Errors
    /// Where the tracer can't be waited for.
    pub fn new(tracer: Tracer) -> std::io::Result<Self> {
        // SAFETY: the tracer's descriptor is its ring buffer's, the same one for as long as it lives.
        let tracer = unsafe { AsyncFd::register(tracer)? };
        Ok(Self {
            tracer,
            clock: Clock::now(),
            host: host::host(),
            start: Timestamp::now(),
            subjects: BTreeMap::new(),
            owners: BTreeMap::new(),
            next: 0,
            lost_slot_events: 0,
            dirty_slots: BTreeSet::new(),
            dropped_events: 0,
            lost: VecDeque::new(),
            filters: Filters::default(),
            newly_denied: BTreeSet::new(),
            refused: 0,
            refused_lost: 0,
            pending_events: VecDeque::new(),
            watched: None,
        })
    }

    /// A new, empty recording.
    pub fn add(&mut self, target: Target) -> RecordingId {
        let builder = Builder::new(target, self.host.clone(), self.start);
        self.subjects.insert(self.next, RecordingState::new(builder));
        self.next += 1;
        self.next - 1
    }

    /// A recording in the making.
    pub fn subject(&mut self, id: RecordingId) -> Option<&mut RecordingState> {
        self.subjects.get_mut(&id)
    }

    /// Traces a cgroup and all below it for a recording.
    ///
    /// # Errors
    /// [`TracerError::SlotsExhausted`], and what the kernel refuses.
    pub fn track(
        &mut self,
        id: RecordingId,
        hierarchy: &Hierarchy,
        path: &str,
        flags: u32,
        base: u32,
    ) -> Result<AttachOutcome, TracerError> {
        let Ok(cgroup) = hierarchy.id(path) else { return Ok(AttachOutcome::Exited) };
        // Its threads may be in any call.
        let unsettled = if flags & flag::ATTACHED_LATE == 0 { 0 } else { flag::SYSCALL_STATE_UNKNOWN };
        let TrackOutcome::Slot(slot) = self.tracer.get_ref().track(cgroup, flags | unsettled, base)? else {
            return Ok(AttachOutcome::Ignored);
        };
        self.assign(slot, id);
        // One that the kernel program tracked was there before anything could run in it.
        let tracer = self.tracer.get_ref();
        let is_late = tracer.slot(slot)?.slot.flags & flag::ATTACHED_LATE != 0;
        for below in hierarchy.tree(path).iter().skip(1) {
            let Ok(cgroup) = hierarchy.id(below) else { continue };
            if tracer.add_to_slot(cgroup, slot)? != TrackOutcome::Slot(slot) && is_late {
                // Made since we watch, in a container that ran before.
                tracer.set_slot_flags(cgroup, flag::ATTACHED_LATE)?;
            }
        }
        if is_late {
            self.mark_syscall_state_known(slot, hierarchy, path)?;
        }
        Ok(if is_late { AttachOutcome::Late } else { AttachOutcome::FromTheFirst })
    }

    /// What a slot has seen and will see belongs to a recording; to the first one that it was given.
    pub fn assign(&mut self, slot: u32, id: RecordingId) {
        if self.owners.get(&slot).is_some_and(|owner| *owner != id) {
            return;
        }
        if let Some(subject) = self.subjects.get_mut(&id) {
            subject.slots.insert(slot);
            subject.has_run = true;
            self.owners.insert(slot, id);
        }
    }

    /// Leaves out a container that nobody asked for, with all that it has made and will make.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn ignore_container(&mut self, hierarchy: &Hierarchy, path: &str) -> Result<(), TracerError> {
        match hierarchy.id(path) {
            Ok(cgroup) => self.tracer.get_ref().ignore(cgroup),
            Err(_) => Ok(()),
        }
    }

    /// Leaves out one more cgroup of a container that nobody asked for.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn ignore_slot(&mut self, slot: u32) -> Result<(), TracerError> {
        let tracer = self.tracer.get_ref();
        let Slot { state, cgroup, table_entries, .. } = tracer.slot(slot)?.slot;
        match (state, table_entries) {
            // The cell of a cgroup that is gone would never be given back.
            (state::LIVE, 0) => tracer.release(slot),
            (state::LIVE, _) => tracer.ignore(cgroup),
            _ => Ok(()),
        }
    }

    /// Leaves out a slot whose cgroup is no container.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn forget_folder(&mut self, slot: u32) -> Result<(), TracerError> {
        let tracer = self.tracer.get_ref();
        let Slot { state, cgroup, table_entries, .. } = tracer.slot(slot)?.slot;
        match (state, table_entries) {
            (state::LIVE, 0) => return tracer.release(slot),
            (state::LIVE, _) => tracer.untrack(cgroup)?,
            _ => return Ok(()),
        }
        self.forget_below(slot)
    }

    /// A slot is a container's: what is made below its cgroup is its own.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn set_container(&mut self, slot: u32) -> Result<(), TracerError> {
        let tracer = self.tracer.get_ref();
        let Slot { state, cgroup, .. } = tracer.slot(slot)?.slot;
        if state == state::LIVE { tracer.set_slot_flags(cgroup, flag::CONTAINER) } else { Ok(()) }
    }

    /// What was made below a slot's own cgroup meanwhile is in the slot: it is taken out.
    fn forget_below(&self, slot: u32) -> Result<(), TracerError> {
        let tracer = self.tracer.get_ref();
        if tracer.slot(slot)?.slot.table_entries > 0 {
            tracer.cgroups_of(slot)?.into_iter().try_for_each(|cgroup| tracer.untrack(cgroup))?;
        }
        Ok(())
    }

    /// Drops a recording that nobody asked for, and ignores its cgroups.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn discard(&mut self, id: RecordingId) -> Result<(), TracerError> {
        let Some(subject) = self.subjects.remove(&id) else { return Ok(()) };
        self.publish_discarded(id);
        for slot in subject.slots {
            self.ignore_slot(slot)?;
            self.forget_below(slot)?;
            // Its last cgroup left just now: the kernel tells that it is dead, and it is freed then.
            self.owners.remove(&slot);
        }
        Ok(())
    }

    /// Who of a recording lives on where its cgroups are not: those beside `inside`, as far as each has an entry of its own.
    ///
    /// # Errors
    /// Where a map can't be read.
    pub fn elsewhere(&mut self, id: RecordingId, inside: &[i32]) -> Result<Movers, TracerError> {
        let mut movers = Movers::default();
        let slots = self.subjects.get(&id).into_iter().flat_map(|subject| &subject.slots);
        for slot in slots {
            let followed = self.tracer.get_ref().followed(*slot)?;
            let followed = followed.iter().map(|pid| pid.cast_signed()).filter(|pid| !inside.contains(pid));
            followed.for_each(|pid| movers.add_process(pid));
        }
        Ok(movers)
    }

    /// From now on who leaves its cgroups is not followed.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn release(&mut self, id: RecordingId) -> Result<(), TracerError> {
        let slots = self.subjects.get(&id).into_iter().flat_map(|subject| &subject.slots);
        slots.into_iter().try_for_each(|slot| self.tracer.get_ref().release(*slot))
    }

    /// Waits for news. All of it is to be taken then.
    pub async fn wait(&mut self) {
        if let Ok(mut ready) = self.tracer.readable_mut().await {
            ready.clear_ready();
        }
    }

    /// The next piece of news that a caller has to know; none where all is taken. One at a time: a new slot is
    /// somebody's before what happened in it is looked at, also where it is dead already.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn next_event(&mut self) -> Result<Option<SessionEvent>, TracerError> {
        loop {
            while let Some(event) = self.lost.pop_front().or_else(|| self.tracer.get_mut().next_event()) {
                if let Some(news) = self.take(&event)? {
                    return Ok(Some(news));
                }
            }
            self.take_programs();
            self.publish_new_denials()?;
            if let Some(news) = self.pending_events.pop_front() {
                return Ok(Some(news));
            }
            self.tracer.get_mut().flush_log();
            let Stats { lost_slot_events, dropped_events, refused, refused_lost, unknown_leavers: _ } =
                self.tracer.get_ref().stats()?;
            if dropped_events != self.dropped_events {
                self.dropped_events = dropped_events;
                self.dirty_slots.extend(self.owners.keys());
            }
            if lost_slot_events != self.lost_slot_events {
                self.lost_slot_events = lost_slot_events;
                self.resync()?;
                continue;
            }
            // Only then: of a slot in which a refused one lies it is known what it is.
            if refused != self.refused {
                self.refused = refused;
                let refused = self.tracer.get_mut().take_refused()?.into_iter();
                self.pending_events.extend(refused.map(|(cgroup, (level, path))| SessionEvent::Refused {
                    cgroup,
                    path,
                    level,
                }));
            }
            if refused_lost != self.refused_lost {
                self.refused_lost = refused_lost;
                self.pending_events.push_back(SessionEvent::RefusedLost);
            }
            if self.pending_events.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Takes all the news, where nobody has to know it.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn drain_events(&mut self) -> Result<(), TracerError> {
        while self.next_event()?.is_some() {}
        Ok(())
    }

    fn take(&mut self, event: &Event) -> Result<Option<SessionEvent>, TracerError> {
        // It only wakes us: a map has what it is about.
        if event.kind == event::REFUSED {
            return Ok(None);
        }
        let view = self.tracer.get_ref().slot(event.slot)?;
        if view.slot.generation != event.generation {
            return Ok(None);
        }
        self.dirty_slots.insert(event.slot);
        match event.kind {
            event::FIRST_SEEN => {
                let time = self.clock.wall(event.time);
                if let Some(subject) = self.owner(event.slot) {
                    subject.sighting(event, time);
                }
                self.publish_seen(event, time);
            }
            event::SLOT_TAKEN if !self.owners.contains_key(&event.slot) => {
                let SlotView { slot: Slot { cgroup, .. }, path } = view;
                return Ok(Some(SessionEvent::SlotTaken { slot: event.slot, cgroup, path }));
            }
            event::APPLICATION => {
                if let Some(subject) = self.owner(event.slot) {
                    subject.has_application = true;
                }
            }
            event::DENIED => self.newly_denied.extend(self.owners.get(&event.slot)),
            event::COULD_TAMPER => {
                if let Some(subject) = self.owner(event.slot) {
                    subject.warn_of_tampering();
                }
            }
            event::FOREIGN => {
                if let Some(subject) = self.owner(event.slot) {
                    subject.stranger(event);
                }
            }
            event::LEFT => {
                if let Some(subject) = self.owner(event.slot) {
                    subject.leaver(event);
                }
            }
            event::DEAD => return self.reap_slot(event.slot),
            _ => {}
        }
        Ok(None)
    }

    fn owner(&mut self, slot: u32) -> Option<&mut RecordingState> {
        self.owners.get(&slot).and_then(|id| self.subjects.get_mut(id))
    }

    /// Reads a dead slot for the last time and frees it.
    fn reap_slot(&mut self, slot: u32) -> Result<Option<SessionEvent>, TracerError> {
        if self.owners.contains_key(&slot) {
            self.read(slot)?;
            self.account_skips([slot])?;
            self.keep_counts(slot)?;
        }
        self.tracer.get_mut().free(slot)?;
        self.drop_programs(slot);
        self.dirty_slots.remove(&slot);
        let Some(id) = self.owners.remove(&slot) else { return Ok(None) };
        Ok(self.subjects.get_mut(&id).map(|subject| {
            subject.slots.remove(&slot);
            SessionEvent::Exited(id)
        }))
    }

    /// Reads a slot for the last time: what has no application by now will have none.
    fn read(&mut self, slot: u32) -> Result<(), TracerError> {
        self.take_programs();
        let look = self.look(slot)?;
        self.publish_dropped(&look);
        if let Some(subject) = self.owner(slot) {
            subject.merge_snapshot(&look);
            subject.attribute_tentative(&look);
            subject.add_losses(&look);
        }
        Ok(())
    }

    /// Adds what the kernel has skipped until now to the recordings of slots whose sets were read.
    fn account_skips(&mut self, slots: impl IntoIterator<Item = u32>) -> Result<(), TracerError> {
        let lost = Lost { missed_runs: self.tracer.get_ref().skips()?, ..Lost::default() };
        for slot in slots {
            if let Some(subject) = self.owner(slot) {
                subject.builder.lose(lost);
            }
        }
        Ok(())
    }

    fn look(&self, slot: u32) -> Result<SlotSnapshot, TracerError> {
        // The calls first: those that come with the application's exec must not be taken for what is before.
        let (calls, untrue) = self.tracer.get_ref().calls(slot)?.into_iter().partition(|call| call.seen);
        let view = self.tracer.get_ref().slot(slot)?;
        let not_entered = self.denied(slot, &view)?;
        let filter = self.container_filter(slot, &view.slot);
        Ok(SlotSnapshot { number: slot, view, calls, untrue, not_entered, filter })
    }

    /// Events were lost: the slots themselves say what they were. They are taken as if they had come.
    fn resync(&mut self) -> Result<(), TracerError> {
        for slot in 0..self.tracer.get_ref().max_containers() {
            let Slot { state, generation, .. } = self.tracer.get_ref().slot(slot)?.slot;
            let kinds: &[u32] = match state {
                state::LIVE => &[event::SLOT_TAKEN],
                state::DEAD => &[event::SLOT_TAKEN, event::DEAD],
                _ => &[],
            };
            self.lost.extend(kinds.iter().map(|&kind| Event { kind, slot, generation, ..Event::NONE }));
        }
        Ok(())
    }

    /// The end: detaches nothing yet, and reads the sets of every slot that is somebody's. After the last news
    /// is taken, what comes out is complete.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn finish(&mut self) -> Result<(), TracerError> {
        let slots: Vec<u32> = self.owners.keys().copied().collect();
        slots.iter().try_for_each(|slot| self.read(*slot))?;
        self.account_skips(slots)
    }
}
