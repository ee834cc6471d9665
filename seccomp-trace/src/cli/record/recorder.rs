//! The beginning of a recording session: attach first, then look at what is there, so that nothing falls between.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::PathBuf,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use seccomp_trace_common::flag;

use super::{
    Args, Outcome,
    container_state::{ContainerState, ContainerTable, RunState, Selection},
    engines::{EngineId, Engines},
    event_loop::EventLoop,
    groups::Groups,
    missed::Tally,
    targets::{self, Resolved, did_you_mean},
};
use crate::{
    cli::{
        forward_signals,
        output::Output,
        preflight,
        printer::Printer,
        results::{Destinations, OutputAllocator},
        session::Session,
        watch::{ViewContext, Watch},
    },
    engine::select::{Selector, suggest_containers},
    inspect::{cgroup::Hierarchy, process},
    launch::{self, Signals},
    recording::{Container, Target},
    tracer::Loader,
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
    pub known: ContainerTable,
    pub results: OutputAllocator,
    pub groups: Groups,
    pub errors: Vec<anyhow::Error>,
    pub tally: Tally,
    /// Some of the containers that `--exclude` took away.
    pub excluded: BTreeSet<String>,
    /// What asked for them.
    pub excluded_from: BTreeSet<String>,
    pub watch: Option<Watch>,
    /// Engines whose error was printed, and when the last one came.
    pub complained: BTreeMap<EngineId, Instant>,
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
    let caller = ViewContext {
        title: "record".to_owned(),
        end: destinations.shown(),
        has_command: program.is_some(),
        is_stdout_free: program.is_none() && !matches!(destinations.profile, Some(Output::Stdout)),
    };
    let waits = args.wait || program.is_some() || args.trace.duration.is_some();
    let resolved = targets::resolve(&args.targets, &hierarchy, waits).await?;
    let needs_engine = !selector.is_empty() || !resolved.containers.is_empty();
    let mut engines = match needs_engine {
        true => Engines::start(args.engines()),
        false => Engines::none(),
    };
    if needs_engine {
        match engines.find().await {
            Ok(found) => printer.note(format!("found {}", found.join(", "))),
            // A process in another engine's container has a cgroup all the same.
            Err(_) if selector.is_empty() => engines = Engines::none(),
            Err(error) => return Err(error),
        }
    }
    let results = OutputAllocator::new(destinations, *printer)?;
    let mut signals = Signals::take().context("can't take signals")?;
    let mut record = Record {
        args,
        printer,
        // A cgroup that is waited for is tracked by the kernel program, as a container's is; a unit's is made anew with each start.
        session: preflight::start_session(
            Loader::new(),
            args.trace.tracer(args.max_containers, needs_engine),
            &resolved.cgroups,
            printer,
        )?,
        hierarchy,
        selector,
        resolved,
        engines,
        known: ContainerTable::new(),
        results,
        groups: Groups::new(args.group_by),
        errors: Vec::new(),
        tally: Tally::new(),
        excluded: BTreeSet::new(),
        excluded_from: BTreeSet::new(),
        watch: None,
        complained: BTreeMap::new(),
    };
    for path in record.resolved.cgroups.clone() {
        record.add_cgroup(&path)?;
    }
    record.engines.set_attached();
    let deadline = Engines::start_deadline();
    loop {
        let (engine, message) = tokio::select! {
            next = record.engines.next_at_start(deadline) => match next? {
                Some(message) => message,
                None => break,
            },
            // What is nobody's keeps its slot for no longer than it must.
            () = record.session.wait() => {
                record.take_all_news()?;
                continue;
            }
            () = asked_to_end(&mut signals) => bail!("interrupted before anything was traced"),
        };
        // What started meanwhile is tracked already: it is not late.
        record.take_all_news()?;
        record.handle_engine_message(engine, message)?;
    }
    for (id, path) in record.resolved.containers.clone() {
        if !record.known.contains_key(&id) {
            // No engine's, or one's that is late: by its cgroup alone.
            record.resolved.containers.remove(&id);
            record.resolved.cgroups.push(path.clone());
            record.add_cgroup(&path)?;
        }
    }
    record.check_all_there(waits)?;
    record.say_ready();
    record.start_watch(caller)?;
    let child = match program {
        Some(program) => {
            let streams = Watch::streams(record.watch.as_ref())?;
            let child = launch::spawn(&program, &args.command, streams)?;
            forward_signals::pass_on_early(&child, &mut signals).await;
            Some(child)
        }
        None => None,
    };
    let Some(command) = EventLoop::new(&mut record, child).until_the_end(&mut signals).await? else {
        printer.warn("interrupted twice: nothing more is written than the last checkpoints");
        return Ok(Outcome { command: Some(130), errors: Vec::new() });
    };
    record.write_all(command, &mut signals).await
}

/// Until somebody asks us to end.
pub async fn asked_to_end(signals: &mut Signals) {
    while !signals.next().await.is_termination() {}
}

impl Record<'_> {
    fn add_cgroup(&mut self, path: &str) -> Result<()> {
        let unit = self.resolved.units.get(path).cloned();
        let target = Target::Cgroup { path: path.to_owned(), unit };
        let subject = self.session.add(target.clone());
        let is_there = self.hierarchy.id(path).is_ok();
        let is_populated = self.hierarchy.is_populated(path);
        if is_there {
            let running = if is_populated { flag::ATTACHED_LATE } else { 0 };
            // What all of its processes have, none has loaded for itself.
            let tree = self.hierarchy.tree(path).into_iter();
            let processes = tree.flat_map(|path| self.hierarchy.processes(&path));
            let base = processes.filter_map(process::filters).min().unwrap_or(0);
            self.session.track(subject, &self.hierarchy, path, flag::NAMED_CGROUP | running, base)?;
        }
        let run_state = if is_populated { RunState::Running } else { RunState::NotYet };
        let group = Some(self.groups.add(subject, &target, &mut self.results));
        let known = ContainerState {
            subject: Some(subject),
            selection: Selection::Selected,
            run_state,
            group,
            ..ContainerState::new()
        };
        self.known.insert(path.to_owned(), known);
        if is_populated {
            self.say_cgroup_late(subject, path);
        }
        Ok(())
    }

    fn check_all_there(&mut self, waits: bool) -> Result<()> {
        let is_wanted = |known: &ContainerState| known.selection == Selection::Selected;
        if self.known.values().any(|known| known.is_refused)
            && !self.known.values().any(is_wanted)
            && let Some(trouble) = self.errors.pop()
        {
            return Err(trouble);
        }
        let there: Vec<&Container> =
            self.known.values().filter_map(|known| known.container.as_ref()).collect();
        for term in self.selector.unmatched(&there) {
            if term.open || waits {
                self.printer.note(format!("nothing matches {term} yet; waiting for it"));
            } else {
                let near = did_you_mean(&suggest_containers(term.text, there.iter().copied()));
                let problems = self.engines.problems();
                let unasked =
                    if problems.is_empty() { String::new() } else { format!(" ({})", problems.join("; ")) };
                bail!("{term}: no such container{near}; --wait waits for it{unasked}");
            }
        }
        let can_come = waits || self.selector.is_open() || self.known.values().any(is_wanted);
        match self.nothing_but_excluded() {
            Some(trouble) if !can_come => Err(trouble),
            _ => Ok(()),
        }
    }

    fn say_ready(&self) {
        let mut ready = "ready".to_owned();
        let running = self
            .known
            .values()
            .filter(|known| known.selection == Selection::Selected && known.run_state == RunState::Running);
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
