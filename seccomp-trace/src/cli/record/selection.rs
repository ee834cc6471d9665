//! Who is recorded: what an engine says of a container, held against what was asked for.

use anyhow::{Result, anyhow};
use seccomp_trace_common::flag;

use super::{
    container_state::{ContainerState, Missed, RunState, Selection},
    engines::EngineId,
    recorder::Record,
};
use crate::{
    cli::session::AttachOutcome,
    engine::{
        ContainerInfo,
        sandbox::{Sandbox, sandbox},
    },
    inspect::{cgroup, process},
    recording::{Container, Target},
    tracer::TracerError,
};

/// How many containers that were left out are named where nothing else was there.
const EXCLUDED_NAMED: usize = 8;

impl Record<'_> {
    /// An engine has described a container, in its list of all or by itself.
    pub fn described(&mut self, engine: EngineId, info: &ContainerInfo, is_listed: bool) -> Result<()> {
        let known = self.known.entry(info.container.id.clone()).or_insert_with(ContainerState::new);
        known.is_sandbox = info.is_sandbox;
        known.is_unconfirmed = false;
        self.named(engine, &info.container, !info.is_partial)?;
        let Some(pid) = info.pid else { return Ok(()) };
        let Ok(path) = cgroup::of_process(pid) else { return Ok(()) };
        let (id, name) = (&info.container.id, info.container.title());
        let own = self.engines.container_of_one(engine, &path).filter(|own| own.id == id);
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        if known.selection != Selection::Selected {
            if let Some(own) = own.filter(|_| is_listed) {
                self.session.ignore_container(&self.hierarchy, own.path)?;
            }
            return Ok(());
        }
        known.run_state = RunState::Running;
        let subject = known.subject;
        // It has left its cgroup already, and is followed.
        if own.is_none() && subject.and_then(|id| self.session.subject(id)).is_some_and(|its| its.has_run) {
            return Ok(());
        }
        let (Some(own), Some(subject)) = (own, subject) else {
            let reason = anyhow!(
                "{name} has no cgroup v2 of its own (its process is in {path}): its calls can't be told from the \
                 host's; start it without --cgroups=disabled, on a host with cgroup v2"
            );
            return self.refuse(id, &name, reason);
        };
        let base = process::filters(pid).unwrap_or(0);
        match self.session.track(subject, &self.hierarchy, own.path, flag::ATTACHED_LATE, base) {
            Ok(AttachOutcome::Late) => {
                let is_new = self
                    .known
                    .get_mut(id)
                    .is_some_and(|known| !std::mem::replace(&mut known.is_said_late, true));
                if is_new {
                    let restart = self.engines.restart(engine, &info.container);
                    self.say_late(subject, &name, restart.as_deref());
                }
            }
            Ok(AttachOutcome::FromTheFirst | AttachOutcome::Exited) => {}
            Ok(AttachOutcome::Ignored) => self.printer.warn(format!(
                "{name} was left out when it started, and is not recorded; restart it while this runs"
            )),
            Err(TracerError::SlotsExhausted) => self.report_slots_exhausted(&name),
            Err(error) => return Err(error.into()),
        }
        self.assign_output(id);
        Ok(())
    }

    /// An engine has named a container, by an event or in a description of it.
    pub fn named(&mut self, engine: EngineId, container: &Container, is_description: bool) -> Result<()> {
        let known = self.known.entry(container.id.clone()).or_insert_with(ContainerState::new);
        known.engine = Some(engine);
        if is_description || !known.is_described {
            let name = known.renamed.clone().unwrap_or_else(|| container.name.clone());
            known.container = Some(Container { name, ..container.clone() });
            known.is_described |= is_description;
        }
        self.judge(&container.id)
    }

    /// A container has a new name, of which nothing else may be known yet.
    pub fn renamed(&mut self, engine: EngineId, id: &str, name: String) -> Result<()> {
        let known = self.known.entry(id.to_owned()).or_insert_with(ContainerState::new);
        known.engine = Some(engine);
        known.renamed = Some(name.clone());
        if let Some(container) = &mut known.container {
            container.name = name;
        }
        let was_unwanted = known.selection == Selection::Unselected;
        self.judge(id)?;
        if let Some(known) =
            self.known.get_mut(id).filter(|known| was_unwanted && known.selection == Selection::Selected)
        {
            // Perhaps it runs already, and was left out under its old name.
            known.pending_lookups += self.engines.ask(id, Some(engine));
        }
        Ok(())
    }

    /// Decides on a container by what is known of it now.
    fn judge(&mut self, id: &str) -> Result<()> {
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        let Some(container) = known.container.clone() else { return Ok(()) };
        let is_wanted = if known.is_sandbox {
            self.selector.names(&container)
        } else {
            self.selector.matches(&container)
        };
        let is_wanted = is_wanted || self.resolved.containers.contains_key(&container.id);
        if is_wanted && self.selector.excludes(&container) && known.group.is_none() {
            self.excluded(&container);
            return self.unselect(id);
        }
        // One that is recorded already stays so under any name.
        let subject = known.subject.and_then(|id| self.session.subject(id));
        let is_recorded =
            known.selection == Selection::Selected && subject.is_some_and(|subject| subject.has_run);
        let is_recorded = is_recorded && !known.is_sandbox;
        if known.is_refused || !(is_wanted || is_recorded) {
            // An event does not tell the image's digest, by which it may be asked for.
            let is_certain = known.is_refused || known.is_described || !self.selector.needs_description();
            return if is_certain { self.unselect(id) } else { Ok(()) };
        }
        let mut is_new = false;
        if known.selection != Selection::Selected {
            known.selection = Selection::Selected;
            if std::mem::take(&mut known.is_discarded) {
                self.errors.push(anyhow!(
                    "{} ran before its engine could name it, and what it called is lost: record it again",
                    container.title()
                ));
            }
            self.printer.verbose(format!("recording {}", container.title()));
            is_new = true;
        }
        let target = Target::Container(container.clone());
        let subject = *known.subject.get_or_insert_with(|| self.session.add(target.clone()));
        if let Some(subject) = self.session.subject(subject)
            && *subject.builder.target() != target
        {
            *subject.builder.target_mut() = target;
        }
        if is_new {
            self.tell_missed(id);
        }
        match container.runtime.as_deref().and_then(sandbox) {
            Some(kind @ Sandbox::Refuse(_)) => {
                return self.refuse(id, &container.title(), anyhow!(kind.message(&container.title())));
            }
            Some(kind @ Sandbox::Warn(_))
                if self.known.get(id).is_some_and(|known| known.group.is_none()) =>
            {
                self.printer.warn(kind.message(&container.title()));
            }
            _ => {}
        }
        self.assign_output(id);
        Ok(())
    }

    /// It would be recorded, and `--exclude` takes it away.
    fn excluded(&mut self, container: &Container) {
        let asked = self.selector.unmatched(&[]);
        let others = self.selector.unmatched(&[container]);
        let terms = asked.iter().filter(|term| !others.contains(term)).map(ToString::to_string);
        self.excluded_from.extend(terms);
        let title = container.title().into_owned();
        self.printer.verbose(format!("{title} is left out (--exclude)"));
        if self.excluded.len() < EXCLUDED_NAMED {
            self.excluded.insert(title);
        }
    }

    /// Nobody asked for it: it is traced no more.
    pub fn unselect(&mut self, id: &str) -> Result<()> {
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        known.selection = Selection::Unselected;
        known.missed = Missed::Nothing;
        match known.subject.take() {
            Some(subject) => Ok(self.session.discard(subject)?),
            None => Ok(()),
        }
    }

    /// One that was asked for by its own name is trouble; one of many is passed over.
    fn refuse(&mut self, id: &str, name: &str, reason: anyhow::Error) -> Result<()> {
        if let Some(known) = self.known.get_mut(id) {
            known.is_refused = true;
        }
        if self.selector.is_open() {
            self.printer.warn(format!("{reason:#}; it is left out"));
        } else {
            self.errors.push(reason.context(format!("{name} can't be recorded")));
        }
        self.unselect(id)
    }
}
