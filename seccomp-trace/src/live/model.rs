//! What the live view knows of the containers: made of what it is told, and of nothing else. It reads no clock.

mod call;
mod flaw;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use call::{Call, First, HISTORY};
pub use flaw::Flaw;
use jiff::Timestamp;

use crate::{
    abi::Abi,
    recording::{Denial, Origin},
};

/// A container's number, the same for as long as it is watched.
pub type ContainerId = usize;

/// A syscall.
pub type Syscall = (Abi, u32);

/// Messages that are kept, at most.
const MESSAGES: usize = 200;
/// Containers that have ended and are kept, at most: a session may last for days.
pub const ENDED: usize = 200;

/// What the view is told.
#[derive(Clone, Debug)]
pub enum Update {
    /// What is known of a container by now.
    Container(ContainerId, Facts),
    /// Nobody asked for this one.
    Discarded(ContainerId),
    /// A call was seen; where the news of it was lost, only that it was.
    Seen {
        /// By this container.
        id: ContainerId,
        /// The call.
        syscall: Syscall,
        /// When first, and by whom.
        first: Option<First>,
        /// Who made it; none where only the end tells (a cgroup without an engine).
        origin: Option<Origin>,
    },
    /// A call was denied so often.
    Denied(ContainerId, Abi, Denial),
    /// How often each call has been made since the container began to be counted.
    Counts {
        /// By this container.
        id: ContainerId,
        /// Each call with its count.
        calls: Vec<(Syscall, u64)>,
        /// Calls whose numbers no set keeps.
        beyond: u64,
        /// When they were read, where that is a sample for the rates: once a second. None: between two of them.
        sampled: Option<Timestamp>,
    },
    /// It is not counted any more: another one is in its place.
    Uncounted(ContainerId),
    /// The time, and how the session is doing.
    Status(Status),
    /// Something was said.
    Said(String),
}

/// What is known of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its name, or what stands for one.
    pub name: String,
    /// Its id; empty where it has none.
    pub id: String,
    /// Its image; empty where it has none.
    pub image: String,
    /// Its engine, or `command`, `cgroup`, `unit`.
    pub engine: String,
    /// Whether it runs now.
    pub is_running: bool,
    /// The files that are written at its end.
    pub files: String,
    /// What makes its recording less than exact, as far as that is known by now.
    pub flaws: BTreeSet<Flaw>,
}

/// How the session is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Status {
    /// Now.
    pub now: Timestamp,
    /// Live events that found no room: the calls themselves are all there.
    pub lost: u64,
    /// The kernel program's own cost, where the kernel tells it.
    pub cost: Option<Cost>,
}

/// What the kernel program took of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Of one processor, 1 being all of it.
    pub share: f64,
    /// One run, in nanoseconds.
    pub run: f64,
}

/// One container.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// What is known of it.
    pub facts: Facts,
    /// Its calls, those that were only denied as well.
    pub calls: BTreeMap<Syscall, Call>,
    /// The last time that something was new.
    pub newest: Option<Timestamp>,
    /// Calls since it began to be counted; none where it is not counted.
    pub total: Option<u64>,
    /// Calls a second.
    pub rate: u64,
    /// The last sample: when, and the total then.
    sample: Option<(Timestamp, u64)>,
}

impl Container {
    /// Syscalls that were made.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.calls.values().filter(|call| call.is_made).count()
    }

    /// Syscalls that were denied.
    #[must_use]
    pub fn denied(&self) -> usize {
        self.calls.values().filter(|call| call.is_denied()).count()
    }

    /// When each of its calls was made first, in the order of time: the discovery curve.
    #[must_use]
    pub fn discoveries(&self) -> Vec<Timestamp> {
        let made = self.calls.values().filter(|call| call.is_made);
        let mut times: Vec<_> = made.map(|call| call.found).collect();
        times.sort_unstable();
        times
    }
}

/// All that the view knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// When the session began.
    pub start: Timestamp,
    /// The containers, in the order in which they came.
    pub containers: BTreeMap<ContainerId, Container>,
    /// How the session is doing.
    pub status: Status,
    /// Containers that have ended and are not kept any more.
    pub forgotten: usize,
    /// What was said, the newest last.
    pub messages: VecDeque<String>,
    /// Sightings and denials since the start.
    pub events: u64,
    /// Grows with everything that may change the picture.
    pub revision: u64,
}

impl Model {
    /// Nothing known.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self {
            start,
            containers: BTreeMap::new(),
            status: Status { now: start, lost: 0, cost: None },
            forgotten: 0,
            messages: VecDeque::new(),
            events: 0,
            revision: 0,
        }
    }

    /// Takes one thing. True where it is a first sighting, or a denial that was not known.
    pub fn apply(&mut self, update: Update) -> bool {
        let revision = self.revision;
        self.revision += 1;
        let now = self.status.now;
        let is_new = match update {
            Update::Container(id, facts) => {
                let container = self.containers.entry(id).or_default();
                if container.facts == facts {
                    self.revision = revision;
                } else {
                    let before = std::mem::replace(&mut container.facts, facts);
                    let new = container.facts.flaws.difference(&before.flaws);
                    let said: Vec<_> =
                        new.map(|flaw| format!("{}: {}", container.facts.name, flaw.message())).collect();
                    container.rest();
                    self.forget();
                    said.into_iter().for_each(|message| self.say(message));
                }
                false
            }
            Update::Discarded(id) => {
                self.containers.remove(&id);
                false
            }
            Update::Seen { id, syscall, first, origin } => {
                let time = first.as_ref().map_or(now, |first| first.time);
                let container = self.containers.entry(id).or_default();
                let call = container.calls.entry(syscall).or_insert_with(|| Call::new(time));
                let is_new = call.seen(first, origin);
                if is_new {
                    container.newest = container.newest.max(Some(time));
                }
                is_new
            }
            Update::Denied(id, abi, denial) => {
                let time = denial.first_seen;
                let container = self.containers.entry(id).or_default();
                let call = container.calls.entry((abi, denial.number)).or_insert_with(|| Call::new(time));
                let is_new = call.denied(denial);
                if is_new {
                    container.newest = container.newest.max(Some(time));
                }
                is_new
            }
            Update::Counts { id, calls, beyond, sampled } => {
                if let Some(container) = self.containers.get_mut(&id) {
                    container.count(&calls, beyond, sampled);
                }
                false
            }
            Update::Uncounted(id) => {
                if let Some(container) = self.containers.get_mut(&id) {
                    container.uncount();
                }
                false
            }
            Update::Status(status) => {
                self.status = status;
                false
            }
            Update::Said(message) => {
                self.say(message);
                false
            }
        };
        self.events += u64::from(is_new);
        is_new
    }
}

impl Model {
    fn say(&mut self, message: String) {
        if self.messages.len() == MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }

    /// Drops the oldest one that has ended, where there are too many.
    fn forget(&mut self) {
        let ended = |(_, container): &(&ContainerId, &Container)| {
            !container.facts.is_running && !container.facts.name.is_empty()
        };
        if self.containers.iter().filter(ended).count() > ENDED
            && let Some(oldest) = self.containers.iter().find(ended).map(|(id, _)| *id)
        {
            self.containers.remove(&oldest);
            self.forgotten += 1;
        }
    }
}

impl Container {
    /// One that does not run calls nothing.
    fn rest(&mut self) {
        if !self.facts.is_running {
            self.rate = 0;
            self.calls.values_mut().for_each(|call| call.rate = 0);
        }
    }

    fn count(&mut self, calls: &[(Syscall, u64)], beyond: u64, sampled: Option<Timestamp>) {
        let seconds =
            self.sample.zip(sampled).map(|((before, _), now)| now.duration_since(before).as_secs_f64());
        let mut total = beyond;
        for (syscall, count) in calls {
            total += count;
            if let Some(call) = self.calls.get_mut(syscall) {
                call.count(*count, sampled.map(|_| seconds));
            }
        }
        self.total = Some(total);
        if let Some(now) = sampled {
            let before = self.sample.map_or(0, |(_, total)| total);
            self.rate = per_second(total.saturating_sub(before), seconds);
            self.sample = Some((now, total));
        }
    }

    fn uncount(&mut self) {
        (self.total, self.rate, self.sample) = (None, 0, None);
        self.calls.values_mut().for_each(Call::uncount);
    }
}

/// Calls a second; of the first ones nobody knows since when.
fn per_second(count: u64, seconds: Option<f64>) -> u64 {
    match seconds {
        Some(seconds) if seconds > 0.0 => (count as f64 / seconds).round() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
