//! What the live view is told of the containers, and what its keys ask.

use anyhow::Result;

use super::{
    container_state::{ContainerState, RunState, Selection},
    recorder::Record,
};
use crate::cli::{
    results::OutputPaths,
    session::RecordingId,
    watch::{ViewContext, Watch},
};

impl Record<'_> {
    /// Starts the view, where it is asked for. What was seen before is told by the sets.
    pub fn start_watch(&mut self, caller: ViewContext) -> Result<()> {
        self.watch = Watch::start(&self.args.trace.watch, caller, *self.printer)?;
        if let Some(watch) = &self.watch {
            self.session.watch(watch.tell());
            self.session.publish_all()?;
        }
        self.tell_facts();
        Ok(())
    }

    /// Tells of each container that is recorded what is known of it now.
    pub fn tell_facts(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        for known in self.known.values().filter(|known| known.selection == Selection::Selected) {
            let Some(id) = known.subject else { continue };
            let Some(subject) = self.session.subject(id).filter(|subject| subject.has_run) else { continue };
            // One that has just come may not be known to run yet.
            let is_running = matches!(known.run_state, RunState::Running | RunState::NotYet);
            let plan = known.group.and_then(|group| self.groups.plan(group));
            watch.tell_facts(id, subject, is_running, || plan.map(OutputPaths::places).unwrap_or_default());
        }
    }

    /// Once a second.
    pub fn tick_watch(&mut self) -> Result<()> {
        if self.watch.is_some() {
            self.look_for_empty_cgroups();
        }
        match &mut self.watch {
            Some(watch) => watch.tick(&mut self.session),
            None => Ok(()),
        }
    }

    /// What tracing costs is measured.
    pub fn measured(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.measured(&self.session);
        }
    }

    /// A container was chosen in the view.
    pub fn choose(&mut self, id: RecordingId) -> Result<()> {
        match &mut self.watch {
            Some(watch) => watch.choose(&mut self.session, id),
            None => Ok(()),
        }
    }

    /// The profile of a container, and of those that are recorded with it, as it stands.
    pub fn write_now(&mut self, id: RecordingId) -> Result<()> {
        let group = self
            .known
            .values()
            .find(|known| known.subject == Some(id))
            .and_then(|known: &ContainerState| known.group);
        let Some(group) = group else { return Ok(()) };
        if let Some((recording, plan)) = self.groups.now(group, &mut self.session)? {
            plan.write_now(&recording, &self.args.trace, self.printer);
        }
        Ok(())
    }
}
