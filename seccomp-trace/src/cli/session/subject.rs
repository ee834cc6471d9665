//! What is traced: one recording in the making, and the slots that feed it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use seccomp_trace_common::{COMM_LEN, Event, flag, set};

use crate::{
    abi::Abi,
    recording::{Boundary, FoundBy, Lost, Origin, Recording, Target, builder::Builder},
    tracer::{Calls, SlotView},
};

/// One recording in the making. A container that was restarted has had several slots.
#[derive(Debug)]
pub struct Subject {
    /// The recording.
    pub builder: Builder,
    /// Its slots that are not freed yet.
    pub slots: BTreeSet<u32>,
    /// Whether an application was seen to start, or was there already.
    pub has_application: bool,
    /// News of calls that count only if no application ever comes.
    tentative: Vec<(Abi, u32, Timestamp, String)>,
    /// Those calls themselves, as long as no application has come.
    estimate: BTreeSet<(Abi, u32)>,
    changed: bool,
}

impl Subject {
    /// An empty one.
    #[must_use]
    pub fn new(builder: Builder) -> Self {
        Self {
            builder,
            slots: BTreeSet::new(),
            has_application: false,
            tentative: Vec::new(),
            estimate: BTreeSet::new(),
            changed: false,
        }
    }

    /// Takes a sighting from the news.
    pub fn sighting(&mut self, event: &Event, time: Timestamp) {
        let Some(abi) = Abi::from_index(usize::from(event.abi)) else { return };
        let comm = comm(&event.comm);
        match origin(usize::from(event.set)) {
            Some(origin) => self.builder.saw(abi, event.number, origin, Some((time, comm))),
            None => self.tentative.push((abi, event.number, time, comm)),
        }
    }

    /// Takes the truth: a slot's sets as they stand. May be called again for the same slot, until it is read for
    /// the last time: only then is it certain that no application comes any more.
    pub fn absorb(&mut self, view: &SlotView, calls: &[Calls], last_time: bool) {
        let slot = &view.slot;
        let late = slot.flags & flag::RUNNING != 0;
        self.has_application |= slot.application > 0;
        // Nobody's engine can say what the application is: what was executed is.
        let estimated = slot.application == 0 && !matches!(self.builder.target(), Target::Container(_));
        let promoted = estimated && last_time;
        for call in calls {
            let Some(abi) = Abi::from_index(call.abi) else { continue };
            match origin(call.set) {
                Some(origin) => self.builder.saw(abi, call.number, origin, None),
                None if promoted => self.builder.saw(abi, call.number, Origin::Application, None),
                None if estimated => self.changed |= self.estimate.insert((abi, call.number)),
                None => {}
            }
        }
        if promoted {
            for (abi, number, time, comm) in std::mem::take(&mut self.tentative) {
                self.builder.saw(abi, number, Origin::Application, Some((time, comm)));
            }
        }
        let found_by = if slot.flags & flag::COMMAND != 0 {
            FoundBy::Exec
        } else if late {
            FoundBy::Unknown
        } else if slot.application > 0 && slot.base > slot.arrived_with {
            FoundBy::Filter
        } else {
            FoundBy::Estimated
        };
        if slot.application > 0 || promoted {
            self.builder.set_boundary(Boundary { found_by, attached_late: late });
        }
    }

    /// Has anything come since this was asked last?
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed) | self.builder.take_changed()
    }

    /// The recording as it would be if nothing more came. What is an estimate now need not be one in the end.
    #[must_use]
    pub fn checkpoint(&self) -> Recording {
        let mut builder = self.builder.clone();
        if !self.has_application && !self.estimate.is_empty() {
            for (abi, number) in &self.estimate {
                builder.saw(*abi, *number, Origin::Application, None);
            }
            for (abi, number, time, comm) in self.tentative.clone() {
                builder.saw(abi, number, Origin::Application, Some((time, comm)));
            }
            builder.set_boundary(Boundary { found_by: FoundBy::Estimated, attached_late: false });
        }
        builder.build(false)
    }

    /// Counts what a slot has lost; once a slot, when it is read for the last time.
    pub fn account(&mut self, view: &SlotView, calls: &[Calls]) {
        let untold = calls.iter().filter(|call| !call.told && origin(call.set).is_some()).count();
        self.builder.lose(Lost {
            events: untold as u64,
            syscalls: u64::from(view.slot.lost),
            origins: u64::from(view.slot.lost_origins),
        });
    }
}

/// `None` for the set whose calls count only if no application ever comes.
fn origin(set: usize) -> Option<Origin> {
    match set {
        set::APPLICATION => Some(Origin::Application),
        set::RUNTIME => Some(Origin::Runtime),
        set::JOINED => Some(Origin::Joined),
        _ => None,
    }
}

fn comm(bytes: &[u8; COMM_LEN]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}
