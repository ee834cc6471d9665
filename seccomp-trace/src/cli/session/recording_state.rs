//! What is traced: one recording in the making, and the slots that feed it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use seccomp_trace_common::{Event, flag, set};

use super::{denials::NotEntered, movers::Movers};
use crate::{
    abi::Abi,
    live::model::Flaw,
    recording::{
        Boundary, BoundaryMethod, Denial, Denials, Filter, Lost, Origin, Target, builder::Builder, denial,
    },
    tracer::{Calls, SlotView, text},
};

/// A call's place in a slot's sets: set, ABI and number.
type Place = (usize, usize, u32);

/// One recording in the making. A container that was restarted has had several slots.
#[derive(Clone, Debug)]
pub struct RecordingState {
    /// The recording.
    pub builder: Builder,
    /// Its slots that are not freed yet.
    pub slots: BTreeSet<u32>,
    pub(super) has_application: bool,
    has_calls: bool,
    /// Whether anything of it was ever traced.
    pub has_run: bool,
    /// News of calls that count only if no application ever comes.
    tentative: Vec<(Abi, u32, Timestamp, String)>,
    /// Those calls, whether there was news of them or not: their set, ABI and number.
    provisional: BTreeSet<Place>,
    /// Has any of them come since [`Self::take_changed`]?
    has_changed: bool,
    /// Those who look like the application, and are not the first one.
    rivals: u64,
    /// Strangers that came into it.
    strangers: Movers,
    /// Those of its own that have left its cgroups.
    leavers: Movers,
    /// What was denied in each of its slots, by number and generation.
    denied: BTreeMap<(u32, u32), Vec<(Abi, Denial)>>,
    /// What each of its slots had, likewise: it must not go again.
    had: BTreeMap<(u32, u32), BTreeSet<Place>>,
    /// What has gone, or was told and never made.
    tampered: BTreeSet<((u32, u32), Place)>,
    /// What its slots have lost by now that are not read for the last time yet, by number.
    losing: BTreeMap<u32, Lost>,
}

impl RecordingState {
    /// An empty one.
    #[must_use]
    pub fn new(builder: Builder) -> Self {
        Self {
            builder,
            slots: BTreeSet::new(),
            has_application: false,
            has_calls: false,
            has_run: false,
            tentative: Vec::new(),
            provisional: BTreeSet::new(),
            has_changed: false,
            denied: BTreeMap::new(),
            had: BTreeMap::new(),
            tampered: BTreeSet::new(),
            losing: BTreeMap::new(),
            rivals: 0,
            strangers: Movers::default(),
            leavers: Movers::default(),
        }
    }

    /// Takes from the news that a stranger has come into its cgroup.
    pub fn stranger(&mut self, event: &Event) {
        self.strangers.name(&event.comm);
    }

    /// Takes from the news that one of its own has left its cgroups.
    pub fn leaver(&mut self, event: &Event) {
        self.leavers.name(&event.comm);
    }

    /// Is it a cgroup without an engine, of which nobody says what the application is?
    #[must_use]
    pub fn is_cgroup(&self) -> bool {
        matches!(self.builder.target(), Target::Cgroup { .. })
    }

    /// Takes a sighting from the news.
    pub fn sighting(&mut self, event: &Event, time: Timestamp) {
        let Some(abi) = Abi::from_index(usize::from(event.abi)) else { return };
        let comm = text(&event.comm);
        let place = (usize::from(event.set), usize::from(event.abi), event.number);
        self.had.entry((event.slot, event.generation)).or_default().insert(place);
        self.has_calls = true;
        match origin(usize::from(event.set)) {
            Some(origin) => self.builder.saw(abi, event.number, origin, Some((time, comm))),
            None if self.is_cgroup() => {
                self.tentative.push((abi, event.number, time, comm));
                self.has_changed = true;
            }
            None => {}
        }
    }

    /// Takes the truth: a slot's sets as they stand. May be called again for the same slot.
    pub fn merge_snapshot(&mut self, look: &SlotSnapshot) {
        let SlotSnapshot { view, calls, .. } = look;
        if view.slot.could_tamper != 0 {
            self.warn_of_tampering();
        }
        self.look_for_tampering(look);
        self.has_application |= view.slot.application > 0;
        self.losing.insert(look.number, lost_in(look));
        // The news of them may be lost.
        self.has_calls |= !calls.is_empty();
        if calls.iter().any(|call| call.by_vsyscall) {
            self.builder.warn("vsyscall", VSYSCALL);
        }
        for call in calls {
            match (Abi::from_index(call.abi), origin(call.set)) {
                (Some(abi), Some(origin)) => self.builder.saw(abi, call.number, origin, None),
                (_, None) if self.is_cgroup() => {
                    self.has_changed |= self.provisional.insert((call.set, call.abi, call.number));
                }
                _ => {}
            }
        }
        if view.slot.application > 0 {
            self.builder.set_boundary(boundary(view));
        }
        if let Some(filter) = &look.filter {
            self.builder.set_filter(filter.clone());
        }
        if let Some(not_entered) = &look.not_entered {
            if let Some(tracer) = &not_entered.tracer {
                self.builder.warn("emulated-calls", emulated(tracer));
            }
            self.denied.insert((look.number, view.slot.generation), not_entered.denials.clone());
            let mut all = Denials::new();
            for (abi, denial) in self.denied.values().flatten() {
                denial::add(&mut all, *abi, denial.clone());
            }
            self.builder.set_denied(all);
        }
    }

    /// Who could write the kernel program's tables has called bpf(2).
    pub fn warn_of_tampering(&mut self) {
        self.builder.warn("could-tamper", COULD_TAMPER);
    }

    /// What a slot has had stays, and what is told was made: anything else was written by somebody else.
    fn look_for_tampering(&mut self, look: &SlotSnapshot) {
        let slot = (look.number, look.view.slot.generation);
        let place = |call: &Calls| (call.set, call.abi, call.number);
        let now: BTreeSet<Place> = look.calls.iter().map(place).collect();
        let had = self.had.entry(slot).or_default();
        let gone = had.difference(&now).copied();
        let wrong: Vec<_> = gone.chain(look.untrue.iter().map(place)).map(|place| (slot, place)).collect();
        had.extend(now);
        let before = self.tampered.len();
        self.tampered.extend(wrong);
        let more = self.tampered.len() - before;
        if more > 0 {
            self.builder.warn("tampered", TAMPERED);
            self.builder.lose(Lost { syscalls: more as u64, ..Lost::default() });
        }
    }

    /// In a cgroup without an engine nobody says what the application is: what was executed is, and what came into
    /// it and works on without an exec; only a runtime's filter tells more. To be called at the end alone, or for a
    /// checkpoint on a copy: that filter can still come.
    pub fn attribute_tentative(&mut self, look: &SlotSnapshot) {
        let SlotSnapshot { view, calls, .. } = look;
        let found = boundary(view);
        if found.method == BoundaryMethod::Filter || !self.is_cgroup() {
            return;
        }
        let promoted: BTreeSet<_> = calls
            .iter()
            .filter(|call| self.is_promoted(look, call.set))
            .filter_map(|call| Some((Abi::from_index(call.abi)?, call.number)))
            .collect();
        for (abi, number) in &promoted {
            self.builder.saw(*abi, *number, Origin::Application, None);
        }
        for (abi, number, time, comm) in &self.tentative {
            if promoted.contains(&(*abi, *number)) {
                self.builder.saw(*abi, *number, Origin::Application, Some((*time, comm.clone())));
            }
        }
        self.builder.set_boundary(found);
    }

    /// Do the calls of a set count as the application's in the end?
    fn is_promoted(&self, look: &SlotSnapshot, set: usize) -> bool {
        let slot = &look.view.slot;
        // To this day, or to its end.
        let has_unexecuted = slot.had_task_without_exec != 0 || slot.arriving > 0;
        // Without a runtime, who loaded a filter before an exec, or was forked under it, is the application, too.
        let counts =
            matches!(set, set::UNFILTERED_EXEC | set::RUNTIME) || (set == set::PRE_EXEC && has_unexecuted);
        counts && self.is_cgroup() && boundary(&look.view).method != BoundaryMethod::Filter
    }

    /// Has any task made a call in it?
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.has_application || self.has_calls
    }

    /// Has anything come since this was asked last?
    pub fn take_changed(&mut self) -> bool {
        self.builder.take_changed() | std::mem::take(&mut self.has_changed)
    }

    /// Counts what a slot has lost; once a slot, when it is read for the last time.
    pub fn add_losses(&mut self, look: &SlotSnapshot) {
        let SlotSnapshot { calls, .. } = look;
        let counts = |set| origin(set).is_some() || self.is_promoted(look, set);
        let untold = calls.iter().filter(|call| !call.told && counts(call.set)).count();
        self.account_movers(look);
        self.losing.remove(&look.number);
        self.builder.lose(Lost { events: untold as u64, ..lost_in(look) });
    }

    fn account_movers(&mut self, look: &SlotSnapshot) {
        let slot = &look.view.slot;
        self.strangers.count += u64::from(slot.foreign);
        if self.strangers.count > 0 {
            let message = format!(
                "processes from elsewhere moved into its cgroup ({}): their calls are not in the recording; find out who may \
                 move processes there",
                self.strangers
            );
            self.builder.set_warning("foreign-tasks", message);
        }
        self.rivals += slot.rivals;
        if self.rivals > 0 {
            let message = format!(
                "processes from elsewhere that look like its first program executed something in its cgroup ({}): calls of theirs may be \
                 in the recording, and calls of its own may be missing; find out who may move processes there",
                self.rivals
            );
            self.builder.set_warning("rival-applications", message);
        }
        self.leavers.count += slot.left;
        if self.leavers.count > 0 {
            let message = format!(
                "processes of it left its cgroup ({}): they were recorded on, wherever they went",
                self.leavers
            );
            self.builder.set_warning("left-cgroup", message);
        }
        if slot.unfollowed > 0 {
            let message = format!(
                "{} processes of it found no room to be followed: what they call outside of its cgroup is missing",
                slot.unfollowed
            );
            self.builder.set_warning("unfollowed", message);
        }
    }

    /// What makes its recording less than exact, as far as that is known by now.
    pub fn flaws(&self) -> BTreeSet<Flaw> {
        let mut lost = self.builder.lost();
        self.losing.values().for_each(|other| lost.add(*other));
        let boundary = self.builder.boundary();
        let is_late = boundary.is_some_and(|boundary| boundary.attached_late)
            || self.builder.has_warning("attached-late");
        let is_estimated = boundary.is_some_and(|boundary| boundary.method == BoundaryMethod::Estimated);
        let all = [
            (Flaw::Incomplete, lost.syscalls + lost.missed_runs > 0),
            (Flaw::Late, is_late),
            (Flaw::Estimated, is_estimated),
            (Flaw::Lost, lost.events + lost.task_origins + lost.denials > 0),
        ];
        all.into_iter().filter(|(_, is_true)| *is_true).map(|(flaw, _)| flaw).collect()
    }
}

/// What a slot has lost by now, but for news of calls, which may still come.
fn lost_in(look: &SlotSnapshot) -> Lost {
    let slot = &look.view.slot;
    Lost {
        syscalls: u64::from(slot.lost),
        task_origins: u64::from(slot.lost_origins),
        denials: u64::from(slot.lost_denials),
        ..Lost::default()
    }
}

const VSYSCALL: &str = "it calls the vsyscall page (gettimeofday, time or getcpu at a fixed address): these calls are \
    in the recording, but a kernel started with vsyscall=none, as many are, ends such a program whatever its profile; run it \
    where vsyscall=xonly is set, or build it with a C library of this decade";

const COULD_TAMPER: &str = "a task of it with CAP_SYS_ADMIN in the host's user namespace calls bpf(2): it can write the maps of \
    seccomp-trace, and hide its calls; record it without that capability (--cap-drop SYS_ADMIN, no --privileged)";

const TAMPERED: &str = "somebody else has written the maps of seccomp-trace: calls are hidden; record it again without a container that \
    has CAP_SYS_ADMIN in the host's user namespace";

fn emulated(tracer: &str) -> String {
    let tracer = tracer.escape_debug();
    format!(
        "a tracer in it ({tracer}) answers calls in the kernel's place: what it skips or emulates is not in the recording; run it without \
         that tracer, or allow by hand what it needs"
    )
}

/// What a slot holds at one moment.
#[derive(Debug)]
pub struct SlotSnapshot {
    /// Its number.
    pub number: u32,
    /// Its state.
    pub view: SlotView,
    /// Its sets.
    pub calls: Vec<Calls>,
    /// What they say to be told, and not to be made.
    pub untrue: Vec<Calls>,
    /// What was denied; none where nobody looks.
    pub(super) not_entered: Option<NotEntered>,
    /// The filter that its application came with, where that is known.
    pub filter: Option<Filter>,
}

/// How a slot's boundary was found.
fn boundary(view: &SlotView) -> Boundary {
    let slot = &view.slot;
    let attached_late = slot.flags & flag::ATTACHED_LATE != 0;
    let method = if slot.flags & flag::RUN_COMMAND != 0 {
        BoundaryMethod::Exec
    } else if attached_late {
        BoundaryMethod::Unknown
    } else if slot.application > 0 && slot.filters_at_exec > slot.filters_at_entry {
        BoundaryMethod::Filter
    } else {
        BoundaryMethod::Estimated
    };
    Boundary { method, attached_late }
}

/// `None` for the sets whose calls count only if no application ever comes.
pub(super) fn origin(set: usize) -> Option<Origin> {
    match set {
        set::APPLICATION => Some(Origin::Application),
        set::RUNTIME => Some(Origin::Runtime),
        set::JOINED => Some(Origin::Joined),
        _ => None,
    }
}
