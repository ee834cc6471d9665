//! A tracing session: which slot feeds which recording. `run` and `record` both stand on it; it knows neither
//! engines nor files.

mod clock;
mod subject;

use std::collections::BTreeMap;

use jiff::Timestamp;
use seccomp_trace_common::{Event, event, state};
pub use subject::Subject;
use tokio::io::unix::AsyncFd;

use self::clock::Clock;
use crate::{
    inspect::{cgroup::Hierarchy, host},
    recording::{Host, Target, builder::Builder},
    tracer::{Enrolled, Tracer, TracerError},
};

/// A recording in the making, by its number in the session.
pub type SubjectId = usize;

/// What a caller has to decide or should know.
#[derive(Debug)]
pub enum News {
    /// A new cgroup has a slot, and nobody knows yet whose it is.
    Enrolled {
        /// The slot.
        slot: u32,
        /// The cgroup's path.
        path: String,
    },
    /// All cgroups of one slot are gone; what it held is in the recording.
    Gone(SubjectId),
    /// A cgroup found no slot.
    Full,
}

/// See the module.
pub struct Session {
    tracer: AsyncFd<Tracer>,
    clock: Clock,
    host: Host,
    start: Timestamp,
    subjects: BTreeMap<SubjectId, Subject>,
    owners: BTreeMap<u32, SubjectId>,
    /// Slots that the caller has been told of and has not decided on, with what has come of them since: one that
    /// is enrolled, used and gone before we look once loses nothing.
    undecided: BTreeMap<u32, Vec<Event>>,
    /// What came of deciding: told with the next news.
    late: Vec<News>,
    next: SubjectId,
    news_lost: u64,
    is_full: bool,
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
            undecided: BTreeMap::new(),
            late: Vec::new(),
            next: 0,
            news_lost: 0,
            is_full: false,
        })
    }

    /// A new, empty recording.
    pub fn add(&mut self, target: Target) -> SubjectId {
        let builder = Builder::new(target, self.host.clone(), self.start);
        self.subjects.insert(self.next, Subject::new(builder));
        self.next += 1;
        self.next - 1
    }

    /// A recording in the making.
    pub fn subject(&mut self, id: SubjectId) -> Option<&mut Subject> {
        self.subjects.get_mut(&id)
    }

    /// Traces a cgroup and all below it for a recording. False where it lies in an ignored container.
    ///
    /// # Errors
    /// [`TracerError::Full`], and what the kernel refuses; a cgroup that is gone meanwhile is no error.
    pub fn enrol(
        &mut self,
        id: SubjectId,
        hierarchy: &Hierarchy,
        path: &str,
        flags: u32,
        base: u32,
    ) -> Result<bool, TracerError> {
        let Ok(cgroup) = hierarchy.id(path) else { return Ok(true) };
        let Enrolled::Slot(slot) = self.tracer.get_ref().enrol(cgroup, flags, base)? else {
            return Ok(false);
        };
        self.assign(slot, id)?;
        for below in hierarchy.tree(path).iter().skip(1) {
            if let Ok(cgroup) = hierarchy.id(below) {
                self.tracer.get_ref().share(cgroup, slot)?;
            }
        }
        Ok(true)
    }

    /// What a slot has seen and will see belongs to a recording.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn assign(&mut self, slot: u32, id: SubjectId) -> Result<(), TracerError> {
        if let Some(subject) = self.subjects.get_mut(&id) {
            subject.slots.insert(slot);
            self.owners.insert(slot, id);
        }
        self.decided(slot)
    }

    /// Takes what has come of a slot before the caller had decided on it.
    fn decided(&mut self, slot: u32) -> Result<(), TracerError> {
        let Some(events) = self.undecided.remove(&slot) else { return Ok(()) };
        let mut news = std::mem::take(&mut self.late);
        for event in events {
            self.take(&event, &mut news)?;
        }
        // Where the news of its end did not fit the ring.
        if self.tracer.get_ref().slot(slot)?.slot.state == state::DEAD {
            self.bury(slot, &mut news)?;
        }
        self.late = news;
        Ok(())
    }

    /// Leaves out a container that nobody asked for, with all that it will make.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn ignore_container(&mut self, hierarchy: &Hierarchy, path: &str) -> Result<(), TracerError> {
        for below in hierarchy.tree(path) {
            if let Ok(cgroup) = hierarchy.id(&below) {
                self.tracer.get_ref().ignore(cgroup)?;
            }
        }
        Ok(())
    }

    /// Leaves out one more cgroup of a container that nobody asked for.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn ignore_slot(&mut self, slot: u32) -> Result<(), TracerError> {
        let view = self.tracer.get_ref().slot(slot)?.slot;
        if view.state == state::LIVE {
            self.tracer.get_ref().ignore(view.cgroup)?;
        }
        self.decided(slot)
    }

    /// True the first time that a cgroup found no slot.
    pub fn take_first_full(&mut self) -> bool {
        !std::mem::replace(&mut self.is_full, true)
    }

    /// Leaves out a slot whose cgroup is no container.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn forget_folder(&mut self, slot: u32) -> Result<(), TracerError> {
        let view = self.tracer.get_ref().slot(slot)?.slot;
        if view.state == state::LIVE {
            self.tracer.get_ref().forget(view.cgroup)?;
        }
        self.decided(slot)
    }

    /// Drops a recording that nobody asked for, and ignores its cgroups.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn discard(&mut self, id: SubjectId) -> Result<(), TracerError> {
        let Some(subject) = self.subjects.remove(&id) else { return Ok(()) };
        for slot in subject.slots {
            let tracer = self.tracer.get_ref();
            tracer.ignore(tracer.slot(slot)?.slot.cgroup)?;
            if tracer.slot(slot)?.slot.cgroups > 0 {
                for cgroup in tracer.cgroups_of(slot)? {
                    tracer.ignore(cgroup)?;
                }
            }
            // Its last cgroup left just now: the kernel tells that it is dead, and it is freed then.
            self.owners.remove(&slot);
        }
        Ok(())
    }

    /// Waits for news, and takes all that there is.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub async fn news(&mut self) -> Result<Vec<News>, TracerError> {
        if let Ok(mut ready) = self.tracer.readable_mut().await {
            ready.clear_ready();
        }
        self.drain()
    }

    /// Takes all the news that there is.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn drain(&mut self) -> Result<Vec<News>, TracerError> {
        let mut news = std::mem::take(&mut self.late);
        while let Some(event) = self.tracer.get_mut().next_event() {
            self.take(&event, &mut news)?;
        }
        self.tracer.get_mut().flush_log();
        let lost = self.tracer.get_ref().stats()?.news_lost;
        if lost > self.news_lost {
            self.news_lost = lost;
            self.look_at_every_slot(&mut news)?;
        }
        Ok(news)
    }

    fn take(&mut self, event: &Event, news: &mut Vec<News>) -> Result<(), TracerError> {
        if event.kind == event::NO_SLOT {
            news.push(News::Full);
            return Ok(());
        }
        let view = self.tracer.get_ref().slot(event.slot)?;
        if view.slot.generation != event.generation {
            return Ok(());
        }
        if let Some(events) = self.undecided.get_mut(&event.slot) {
            events.push(*event);
            return Ok(());
        }
        match event.kind {
            event::SIGHTING => {
                let time = self.clock.wall(event.time);
                if let Some(subject) = self.owner(event.slot) {
                    subject.sighting(event, time);
                }
            }
            event::ENROLLED if !self.owners.contains_key(&event.slot) => {
                self.announce(event.slot, view.path, news);
            }
            event::APPLICATION => {
                if let Some(subject) = self.owner(event.slot) {
                    subject.has_application = true;
                }
            }
            event::DEAD => self.bury(event.slot, news)?,
            _ => {}
        }
        Ok(())
    }

    fn announce(&mut self, slot: u32, path: String, news: &mut Vec<News>) {
        self.undecided.insert(slot, Vec::new());
        news.push(News::Enrolled { slot, path });
    }

    fn owner(&mut self, slot: u32) -> Option<&mut Subject> {
        self.owners.get(&slot).and_then(|id| self.subjects.get_mut(id))
    }

    /// Reads a dead slot for the last time and frees it.
    fn bury(&mut self, slot: u32, news: &mut Vec<News>) -> Result<(), TracerError> {
        self.read(slot, true)?;
        self.tracer.get_mut().free(slot)?;
        if let Some(id) = self.owners.remove(&slot)
            && let Some(subject) = self.subjects.get_mut(&id)
        {
            subject.slots.remove(&slot);
            news.push(News::Gone(id));
        }
        Ok(())
    }

    fn read(&mut self, slot: u32, last_time: bool) -> Result<(), TracerError> {
        let view = self.tracer.get_ref().slot(slot)?;
        let calls = self.tracer.get_ref().calls(slot)?;
        if let Some(subject) = self.owner(slot) {
            subject.absorb(&view, &calls, last_time);
            if last_time {
                subject.account(&view, &calls);
            }
        }
        Ok(())
    }

    /// News was lost: the slots themselves say what has become of them.
    fn look_at_every_slot(&mut self, news: &mut Vec<News>) -> Result<(), TracerError> {
        for slot in 0..self.tracer.get_ref().max_containers() {
            let view = self.tracer.get_ref().slot(slot)?;
            match view.slot.state {
                _ if self.undecided.contains_key(&slot) => {}
                // Also one that is dead already: nobody has decided on it.
                state::LIVE | state::DEAD if !self.owners.contains_key(&slot) => {
                    self.announce(slot, view.path, news);
                }
                state::DEAD => self.bury(slot, news)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the sets of all slots that feed a recording, as far as they are now.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn refresh(&mut self, id: SubjectId) -> Result<(), TracerError> {
        let slots: Vec<u32> =
            self.subjects.get(&id).into_iter().flat_map(|subject| subject.slots.iter().copied()).collect();
        slots.into_iter().try_for_each(|slot| self.read(slot, false))
    }

    /// The end: detaches nothing yet, takes the last news, then the sets of every slot. What comes out is complete.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn finish(&mut self) -> Result<Vec<News>, TracerError> {
        let news = self.drain()?;
        let slots: Vec<u32> = self.owners.keys().copied().collect();
        for slot in slots {
            self.read(slot, true)?;
        }
        Ok(news)
    }
}
