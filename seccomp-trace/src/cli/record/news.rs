//! What the kernel program tells: cgroups that come and go.

use std::time::Instant;

use anyhow::{Result, anyhow};
use seccomp_trace_common::flag;

use super::{
    known::{Known, Life, Verdict},
    start::Record,
    targets::is_below,
};
use crate::{
    cli::session::News,
    recording::{Container, Target},
    tracer::TracerError,
};

impl Record<'_> {
    /// All that the kernel program has told.
    pub fn take_all_news(&mut self) -> Result<()> {
        while let Some(news) = self.session.next_news()? {
            match news {
                News::Enrolled { slot, path } => self.enrolled(slot, &path)?,
                News::Gone(subject) => {
                    let known = self.known.values_mut().find(|known| known.subject == Some(subject));
                    let has_slots =
                        self.session.subject(subject).is_some_and(|subject| !subject.slots.is_empty());
                    if let Some(known) = known.filter(|known| known.life == Life::Running && !has_slots) {
                        known.life = Life::Stopped(Instant::now());
                    }
                }
                News::Full => self.no_room(),
            }
        }
        Ok(())
    }

    /// A container found no slot.
    pub fn no_room(&mut self) {
        if self.session.take_first_full() {
            let trouble = format!(
                "more containers than --max-containers {} came at a time: some are not recorded; raise it",
                self.args.trace.max_containers
            );
            // At once, too: the tests may go on for an hour.
            self.printer.warn(&trouble);
            self.troubles.push(anyhow!(trouble));
        }
    }

    fn enrolled(&mut self, slot: u32, path: &str) -> Result<()> {
        let mut targets = self.resolved.cgroups.iter();
        if let Some(target) = targets.find(|target| is_below(path, target)).cloned() {
            return self.enrolled_target(slot, path, &target);
        }
        match self.engines.container_of(path).map(|container| container.id.to_owned()) {
            Some(id) => self.enrolled_container(slot, &id),
            // A folder, a service, a user's session.
            None => Ok(self.session.forget_folder(slot)?),
        }
    }

    /// A named cgroup that was waited for, or one below it.
    fn enrolled_target(&mut self, slot: u32, path: &str, target: &str) -> Result<()> {
        let Some(known) = self.known.get(target) else { return Ok(()) };
        let Some(subject) = known.subject else { return Ok(()) };
        self.session.assign(slot, subject);
        match self.session.enrol(subject, &self.hierarchy, path, flag::PINNED, 0) {
            Ok(_) => {}
            Err(TracerError::Full) => self.no_room(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn enrolled_container(&mut self, slot: u32, id: &str) -> Result<()> {
        let known = self.known.entry(id.to_owned()).or_insert_with(Known::new);
        if known.verdict == Verdict::Unwanted {
            return Ok(self.session.ignore_slot(slot)?);
        }
        known.life = Life::Running;
        let subject = *known.subject.get_or_insert_with(|| {
            let container = known.container.clone();
            let unnamed = Container { id: id.to_owned(), ..Container::default() };
            self.session.add(Target::Container(container.unwrap_or(unnamed)))
        });
        self.session.assign(slot, subject);
        self.ask(id);
        self.give_place(id);
        Ok(())
    }
}
