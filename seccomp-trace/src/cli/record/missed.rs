//! Cgroups with tasks of which the calls went nowhere, or to somebody else: no slot was free, or they lay in a cgroup that
//! was taken for the container. Anybody may make such cgroups: it is trouble only where one was asked for, or may have been.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{
    container_state::{ContainerState, Missed, Selection},
    recorder::Record,
    targets::ancestors,
};
use crate::recording::Lost;

/// How many are told by name.
const NAMED: usize = 8;
/// The loop comes round once a second. One that did not for so long was stopped, or had no processor: an engine may have
/// dropped what it had to say meanwhile (Docker does, when a subscriber does not read).
const HELD_UP: Duration = Duration::from_secs(5);
/// What came in that time is heard of for so long.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What is told of them together.
#[derive(Debug)]
pub struct Tally {
    told: usize,
    /// Cgroups that are no container's, and were not asked for.
    strangers: u64,
    is_lost: bool,
    turn: Instant,
    held_up_until: Option<Instant>,
}

impl Tally {
    /// None yet.
    pub fn new() -> Self {
        Self { told: 0, strangers: 0, is_lost: false, turn: Instant::now(), held_up_until: None }
    }

    /// The loop has come round.
    pub fn turn(&mut self) {
        self.is_held_up();
        self.turn = Instant::now();
    }

    /// Is what comes now from a time in which we were held up?
    pub fn is_held_up(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(self.turn) > HELD_UP {
            self.turn = now;
            self.held_up_until = Some(now + CATCH_UP);
        }
        self.held_up_until.is_some_and(|until| now < until)
    }
}

impl Record<'_> {
    /// One of them. `level`: [`seccomp_trace_common::Refused::level`].
    pub fn refused(&mut self, cgroup: u64, path: String, level: u32) -> Result<()> {
        let path = if path.is_empty() { self.hierarchy.path_of_id(cgroup) } else { Some(path) };
        let Some(path) = path else {
            self.no_path(cgroup);
            return Ok(());
        };
        if let Some(target) = ancestors(&path).find(|path| self.known.contains_key(*path)).map(str::to_owned)
        {
            return self.missed(&target, self.no_slot(&path, cgroup));
        }
        let Some(own) = self.engines.container_of(&path) else {
            self.tally.strangers += 1;
            return Ok(());
        };
        // It was taken for a part of this container, and is one.
        if level as usize >= own.path.matches('/').count() && level > 0 {
            return Ok(());
        }
        let id = own.id.to_owned();
        let reason = match level {
            0 => self.no_slot(&path, cgroup),
            _ => format!(
                "its cgroup {path} (id {cgroup}) lies in one that is no container's and came into use while \
                 seccomp-trace was held up: its calls can't be told from that one's; record it again"
            ),
        };
        self.missed(&id, reason)
    }

    fn no_slot(&self, path: &str, cgroup: u64) -> String {
        format!(
            "more containers than --max-containers {} came at a time: its cgroup {path} (id {cgroup}) is not recorded, \
             or not from its first call on; raise it",
            self.args.max_containers
        )
    }

    fn missed(&mut self, key: &str, reason: String) -> Result<()> {
        let known = self.known.entry(key.to_owned()).or_insert_with(ContainerState::new);
        if known.selection == Selection::Unselected || known.missed != Missed::Nothing {
            return Ok(());
        }
        known.missed = Missed::Untold(reason);
        match known.selection {
            Selection::Selected => self.tell_missed(key),
            _ => self.ask(key),
        }
        Ok(())
    }

    /// Calls of what is asked for, or may be, went nowhere. At once, too: the tests may go on for an hour.
    pub fn tell_missed(&mut self, key: &str) {
        let Some(known) = self.known.get_mut(key) else { return };
        let Missed::Untold(reason) = &known.missed else { return };
        let reason = reason.clone();
        known.missed = Missed::Told;
        let title = known
            .container
            .as_ref()
            .map_or_else(|| key.to_owned(), |container| container.title().into_owned());
        if let Some(subject) = known.subject.and_then(|id| self.session.subject(id)) {
            subject.builder.lose(Lost { syscalls: 1, ..Lost::default() });
        }
        self.tally.told += 1;
        if self.tally.told <= NAMED {
            self.printer.warn(format!("{title}: {reason}"));
            self.errors.push(anyhow!("{title}: {reason}"));
        } else {
            self.printer.verbose(format!("{title}: {reason}"));
        }
    }

    /// Something found no room of which no more is known.
    pub fn report_slots_exhausted(&mut self, what: &str) {
        self.trouble_once(format!(
            "more containers than --max-containers {} came at a time: {what} is not recorded, and may be one that was asked \
             for; raise it",
            self.args.max_containers
        ));
    }

    /// A cgroup is gone, and the kernel program could not say which it was.
    pub fn no_path(&mut self, cgroup: u64) {
        self.trouble_once(format!(
            "a cgroup (id {cgroup}) was gone before its path could be read: what ran there is not recorded, and may be a \
             container that was asked for; record it again"
        ));
    }

    fn trouble_once(&mut self, trouble: String) {
        if !std::mem::replace(&mut self.tally.is_lost, true) {
            self.printer.warn(&trouble);
            self.errors.push(anyhow!(trouble));
        }
    }

    /// At the end: those of which nobody has said what they are, and how many there were.
    pub fn tell_all_missed(&mut self) {
        let awaits_identity = |known: &ContainerState| {
            known.selection == Selection::Undecided && (known.not_found_count == 0 || known.is_unheard)
        };
        let open: Vec<_> = self
            .known
            .iter()
            .filter(|(_, known)| awaits_identity(known))
            .map(|(key, _)| key.clone())
            .collect();
        open.iter().for_each(|key| self.tell_missed(key));
        let more = self.tally.told.saturating_sub(NAMED);
        if more > 0 {
            self.errors.push(anyhow!("and {more} more; --verbose names them"));
        }
        if self.tally.strangers > 0 {
            self.printer.verbose(format!(
                "{} cgroups of no container found no slot meanwhile; nobody asked for them",
                self.tally.strangers
            ));
        }
    }
}
