//! What the kernel program tells: cgroups that come and go.

use std::time::Instant;

use anyhow::Result;
use seccomp_trace_common::flag;

use super::{
    container_state::{ContainerState, RunState, Selection},
    recorder::Record,
    targets::ancestors,
};
use crate::{
    cli::session::{RecordingId, SessionEvent},
    recording::{Container, Target},
    tracer::TracerError,
};

impl Record<'_> {
    /// All that the kernel program has told.
    pub fn take_all_news(&mut self) -> Result<()> {
        while let Some(news) = self.session.next_event()? {
            match news {
                SessionEvent::SlotTaken { slot, cgroup, path } => {
                    let path = self.path_of(cgroup, path);
                    if path.is_empty() {
                        self.no_path(cgroup);
                    }
                    self.slot_taken(slot, &path)?;
                }
                SessionEvent::Exited(subject) => self.gone(subject),
                SessionEvent::Refused { cgroup, path, level } => self.refused(cgroup, path, level)?,
                SessionEvent::RefusedLost => self.report_slots_exhausted("at least one"),
            }
        }
        Ok(())
    }

    /// A slot's cgroups are gone. A container that is started anew may have another one by now.
    fn gone(&mut self, subject: RecordingId) {
        let Some(subject) = self.session.subject(subject).filter(|subject| subject.slots.is_empty()) else {
            return;
        };
        let key = match subject.builder.target() {
            Target::Container(container) => container.id.as_str(),
            Target::Cgroup { path, .. } => path,
            Target::Command { .. } | Target::Group { .. } => return,
        };
        if let Some(known) = self.known.get_mut(key).filter(|known| known.run_state == RunState::Running) {
            known.run_state = RunState::Stopped(Instant::now());
        }
    }

    /// Of a cgroup into which its first task was born the kernel program may not know the path. One that is gone by now has none,
    /// and is what its id says.
    fn path_of(&self, cgroup: u64, path: String) -> String {
        if path.is_empty() { self.hierarchy.path_of_id(cgroup).unwrap_or(path) } else { path }
    }

    fn slot_taken(&mut self, slot: u32, path: &str) -> Result<()> {
        if let Some(target) = ancestors(path).find(|path| self.known.contains_key(*path)) {
            return self.target_slot_taken(slot, path, target);
        }
        match self.engines.container_of(path).map(|container| container.id.to_owned()) {
            Some(id) => self.container_slot_taken(slot, &id),
            // A folder, a service, a user's session.
            None => Ok(self.session.forget_folder(slot)?),
        }
    }

    /// A named cgroup that was waited for, or one below it.
    fn target_slot_taken(&mut self, slot: u32, path: &str, target: &str) -> Result<()> {
        let Some(known) = self.known.get(target) else { return Ok(()) };
        let Some(subject) = known.subject else { return Ok(()) };
        self.session.assign(slot, subject);
        match self.session.track(subject, &self.hierarchy, path, flag::NAMED_CGROUP, 0) {
            Ok(_) => {}
            Err(TracerError::SlotsExhausted) => self.report_slots_exhausted(path),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn container_slot_taken(&mut self, slot: u32, id: &str) -> Result<()> {
        let is_held_up = self.tally.is_held_up();
        let known = self.known.entry(id.to_owned()).or_insert_with(ContainerState::new);
        if known.selection == Selection::Unselected {
            return Ok(self.session.ignore_slot(slot)?);
        }
        known.is_unheard |= is_held_up;
        self.session.set_container(slot)?;
        known.run_state = RunState::Running;
        let subject = *known.subject.get_or_insert_with(|| {
            let container = known.container.clone();
            let unnamed = Container { id: id.to_owned(), ..Container::default() };
            self.session.add(Target::Container(container.unwrap_or(unnamed)))
        });
        self.session.assign(slot, subject);
        self.ask(id);
        self.assign_output(id);
        Ok(())
    }
}
