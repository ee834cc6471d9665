//! The beginning of a recording session: attach first, then look at what is there, so that nothing falls between.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use seccomp_trace_common::flag;

use super::{
    Args, Outcome,
    engines::Engines,
    follow::Follow,
    known::{AllKnown, Known, Life, Verdict},
    targets::{self, Resolved, did_you_mean},
};
use crate::{
    cli::{
        prepare,
        printer::Printer,
        results::{Destinations, Results},
        session::Session,
    },
    engine::{
        ContainerInfo, cgroup_path,
        sandbox::{Sandbox, sandbox},
        select::{Selector, suggest_containers},
    },
    inspect::{
        cgroup::{self, Hierarchy},
        process,
    },
    launch::{self, Signals},
    recording::{Container, Target},
    tracer::TracerError,
};

/// Everything that the loop works on.
pub struct Record<'a> {
    pub args: &'a Args,
    pub printer: &'a Printer,
    pub session: Session,
    pub hierarchy: Hierarchy,
    pub selector: Selector,
    pub resolved: Resolved,
    pub engines: Engines,
    pub known: AllKnown,
    pub results: Results,
    pub troubles: Vec<anyhow::Error>,
}

/// Records from beginning to end.
pub async fn record(
    args: &Args,
    selector: Selector,
    program: Option<PathBuf>,
    destinations: Destinations,
    hierarchy: Hierarchy,
    printer: &Printer,
) -> Result<Outcome> {
    let waits = args.wait || program.is_some() || args.trace.duration.is_some();
    let resolved = targets::resolve(&args.targets, &hierarchy, waits)?;
    let needs_engine = !selector.is_empty() || !resolved.containers.is_empty();
    let engines = if needs_engine { Engines::connect().await? } else { Engines::none() };
    let mut signals = Signals::take().context("can't take signals")?;
    // A cgroup that is waited for enrols itself, as a container's does.
    let enrol_new = needs_engine || resolved.cgroups.iter().any(|path| hierarchy.id(path).is_err());
    let mut record = Record {
        args,
        printer,
        session: prepare::start_session(&args.trace, enrol_new)?,
        hierarchy,
        selector,
        resolved,
        engines,
        known: AllKnown::new(),
        results: Results::new(destinations),
        troubles: Vec::new(),
    };
    for path in record.resolved.cgroups.clone() {
        record.add_cgroup(&path)?;
    }
    let containers = record.engines.watch().await?;
    for info in &containers {
        record.found(info, true)?;
    }
    record.check_all_there(&containers)?;
    record.say_ready();
    let child = match program {
        Some(program) => Some(launch::start_plainly(&program, &args.command)?),
        None => None,
    };
    let Some(command) = Follow::new(&mut record, child).until_the_end(&mut signals).await? else {
        printer.warn("interrupted twice: nothing more is written than the last checkpoints");
        return Ok(Outcome { command: Some(130), troubles: Vec::new() });
    };
    record.write_all(command).await
}

impl Record<'_> {
    fn add_cgroup(&mut self, path: &str) -> Result<()> {
        let target = Target::Cgroup { path: path.to_owned() };
        let subject = self.session.add(target.clone());
        let is_there = self.hierarchy.id(path).is_ok();
        let tree = self.hierarchy.tree(path);
        let is_populated = tree.iter().any(|path| !self.hierarchy.processes(path).is_empty());
        if is_there {
            let running = if is_populated { flag::RUNNING } else { 0 };
            self.session.enrol(subject, &self.hierarchy, path, flag::PINNED | running, 0)?;
        }
        let life = if is_populated { Life::Running } else { Life::NotYet };
        let plan = self.results.plan(&target);
        let known = Known { subject: Some(subject), verdict: Verdict::Wanted, life, plan, ..Known::new() };
        self.known.insert(path.to_owned(), known);
        if is_populated {
            self.say_late(path);
        }
        Ok(())
    }

    /// Does anybody want this container?
    pub fn is_wanted(&self, container: &Container) -> bool {
        self.selector.matches(container) || self.resolved.containers.contains(&container.id)
    }

    /// The engine has told of a container. At the beginning what runs was there before us.
    pub fn found(&mut self, info: &ContainerInfo, at_the_beginning: bool) -> Result<()> {
        let id = info.container.id.clone();
        self.name(&info.container)?;
        let Some(pid) = info.pid else { return Ok(()) };
        let Ok(path) = cgroup::of_process(pid) else { return Ok(()) };
        let own = cgroup_path::container(&path).filter(|own| own.id == id);
        let Some(known) = self.known.get_mut(&id) else { return Ok(()) };
        if known.verdict != Verdict::Wanted {
            if let Some(own) = own.filter(|_| at_the_beginning) {
                self.session.ignore_container(&self.hierarchy, own.path)?;
            }
            return Ok(());
        }
        known.life = Life::Running;
        let subject = known.subject;
        let Some(own) = own else {
            let name = info.container.name.clone();
            known.verdict = Verdict::Unwanted;
            self.refuse(&name, anyhow!(
                "{name} has no cgroup v2 of its own (its process is in {path}): its calls can't be told from the host's; \
                 start it without --cgroups=disabled, on a host with cgroup v2"
            ));
            return Ok(());
        };
        let (own, subject) = (own.path.to_owned(), subject.unwrap_or_default());
        let has_slots = self.session.subject(subject).is_some_and(|subject| !subject.slots.is_empty());
        if !has_slots && (at_the_beginning || self.hierarchy.id(&own).is_ok()) {
            let base = process::filters(pid).unwrap_or(0);
            match self.session.enrol(subject, &self.hierarchy, &own, flag::RUNNING, base) {
                Ok(true) => self.say_late(&info.container.name),
                // It came when there was no room, which was told.
                Ok(false) => {}
                Err(TracerError::Full) if !at_the_beginning => self.no_room(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What an engine says of a container decides whether it is recorded.
    pub fn name(&mut self, container: &Container) -> Result<()> {
        let wanted = self.is_wanted(container);
        let known = self.known.entry(container.id.clone()).or_insert_with(Known::new);
        if known.verdict == Verdict::Unwanted {
            return Ok(());
        }
        // What an event says of it is less than what the engine answers.
        let knows_more = known.container.as_ref().is_none_or(|known| known.runtime.is_none());
        if knows_more {
            known.container = Some(container.clone());
        }
        let (before, mut refusal) = (known.verdict, None);
        match container.runtime.as_deref().and_then(sandbox) {
            Some(kind @ Sandbox::Refuse(_)) if wanted => refusal = Some(kind),
            Some(kind @ Sandbox::Warn(_)) if wanted => self.printer.warn(kind.message(&container.name)),
            _ => {}
        }
        if !wanted || refusal.is_some() {
            known.verdict = Verdict::Unwanted;
            if let Some(subject) = known.subject.take() {
                self.session.discard(subject)?;
            }
            if let Some(kind) = refusal {
                self.refuse(&container.name, anyhow!(kind.message(&container.name)));
            }
            return Ok(());
        }
        known.verdict = Verdict::Wanted;
        let target = Target::Container(container.clone());
        if before == Verdict::Pending {
            known.plan = self.results.plan(&target);
            self.printer.verbose(format!("recording {}", container.name));
        }
        let subject = *known.subject.get_or_insert_with(|| self.session.add(target.clone()));
        if knows_more && let Some(subject) = self.session.subject(subject) {
            *subject.builder.target_mut() = target;
        }
        Ok(())
    }

    /// One that was asked for by its own name is trouble; one of many is passed over.
    fn refuse(&mut self, name: &str, reason: anyhow::Error) {
        if self.selector.is_open() {
            self.printer.warn(format!("{reason:#}; it is left out"));
        } else {
            self.troubles.push(reason.context(format!("{name} can't be recorded")));
        }
    }

    fn check_all_there(&mut self, containers: &[ContainerInfo]) -> Result<()> {
        if self.known.values().all(|known| known.verdict != Verdict::Wanted)
            && let Some(trouble) = self.troubles.pop()
        {
            return Err(trouble);
        }
        let there: Vec<&Container> = containers.iter().map(|info| &info.container).collect();
        let waits = self.args.wait || !self.args.command.is_empty() || self.args.trace.duration.is_some();
        for term in self.selector.unmatched(&there) {
            if term.open || waits {
                self.printer.note(format!("nothing matches {term} yet; waiting for it"));
            } else {
                let near = did_you_mean(&suggest_containers(term.text, there.iter().copied()));
                bail!("{term}: no such container{near}; `docker ps -a` lists them, --wait waits for it");
            }
        }
        Ok(())
    }

    fn say_late(&self, name: &str) {
        self.printer.warn(format!(
            "{name} was running before: what it has called already is not in the recording; restart it while it is \
             recorded to have all"
        ));
    }

    fn say_ready(&self) {
        let mut ready = "ready".to_owned();
        let running = self
            .known
            .values()
            .filter(|known| known.verdict == Verdict::Wanted && known.life == Life::Running);
        let count = running.count();
        let _ = match count {
            0 => write!(ready, ": nothing to trace runs yet"),
            1 => write!(ready, ": tracing one container"),
            count => write!(ready, ": tracing {count} containers"),
        };
        if self.args.command.is_empty() {
            ready.push_str("; Ctrl-C ends and writes");
        }
        self.printer.note(ready);
    }
}
