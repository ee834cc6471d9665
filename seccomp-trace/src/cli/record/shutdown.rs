//! The end: when there is one, and what is written then.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, anyhow};
use tokio::time::{Instant, timeout_at};

use super::{
    Outcome,
    container_state::{ContainerState, Missed, RunState, Selection},
    groups::GroupId,
    recorder::{Record, asked_to_end},
};
use crate::{
    cli::results::OutputPaths,
    launch::Signals,
    profile::has_application,
    recording::{BoundaryMethod, Recording, Target},
};

/// How long the engine may take at the end to name what it has not named yet.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How often they are asked then.
const ASK_AGAIN: Duration = Duration::from_millis(200);

impl Record<'_> {
    /// Has everything ended that was asked for by its own name? Never where more can come.
    pub fn is_all_over(&mut self) -> bool {
        if self.selector.is_open() || self.args.trace.duration.is_some() {
            return false;
        }
        self.look_for_empty_cgroups();
        let mut wanted =
            self.known.values().filter(|known| known.selection == Selection::Selected).peekable();
        wanted.peek().is_some() && wanted.all(|known| known.run_state.is_over()) && self.missing().is_empty()
    }

    /// A cgroup without an engine has ended when it stays empty.
    pub fn look_for_empty_cgroups(&mut self) {
        for (path, known) in self.known.iter_mut().filter(|(path, _)| path.starts_with('/')) {
            let is_populated = self.hierarchy.is_populated(path);
            // It may have come and gone since we looked last.
            let subject = known.subject.and_then(|id| self.session.subject(id));
            let has_calls = subject.is_some_and(|subject| subject.has_calls());
            known.run_state = match (is_populated, known.run_state) {
                (true, _) => RunState::Running,
                (false, RunState::NotYet) if has_calls => RunState::Stopped(std::time::Instant::now()),
                (false, RunState::Running) => RunState::Stopped(std::time::Instant::now()),
                (false, life) => life,
            };
        }
    }

    /// What was asked for and never came.
    fn missing(&self) -> Vec<String> {
        let containers: Vec<_> = self.known.values().filter_map(|known| known.container.as_ref()).collect();
        let missing = self.selector.unmatched(&containers);
        let missing = missing.iter().map(ToString::to_string);
        // What `--exclude` took away was there.
        missing.filter(|term| !self.excluded_from.contains(term)).collect()
    }

    /// Why nothing is recorded, where containers were there that were asked for.
    pub fn nothing_but_excluded(&self) -> Option<anyhow::Error> {
        let names: Vec<_> = self.excluded.iter().map(String::as_str).collect();
        let are_some = !names.is_empty();
        are_some.then(|| anyhow!("nothing is left to record: --exclude takes away {}", names.join(", ")))
    }

    /// Takes the last news, reads the sets, detaches, and writes every recording and profile.
    pub async fn write_all(mut self, command: Option<u8>, signals: &mut Signals) -> Result<Outcome> {
        if let Some(watch) = &mut self.watch {
            watch.leave_screen();
        }
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            // Who has come meanwhile is asked about, too: it may be nobody that was asked for.
            self.take_all_news()?;
            let open: Vec<_> = self
                .known
                .iter()
                .filter(|(_, known)| known.awaits_identity())
                .map(|(id, _)| id.clone())
                .collect();
            if open.is_empty() || Instant::now() >= deadline {
                break;
            }
            open.iter().for_each(|id| self.ask(id));
            tokio::select! {
                // Some can't answer yet, and are asked again.
                message = timeout_at(deadline.min(Instant::now() + ASK_AGAIN), self.engines.next()) => {
                    if let Ok((engine, message)) = message {
                        self.handle_engine_message(engine, message)?;
                    }
                }
                () = asked_to_end(signals) => break,
            }
        }
        self.take_all_news()?;
        self.session.finish()?;
        self.name_who_lives_on()?;
        self.tell_all_missed();
        for missing in self.missing() {
            self.errors.push(anyhow!("{missing}: never appeared"));
        }
        self.tell_facts();
        let recordings = self.recordings();
        if recordings.is_empty() && self.errors.is_empty() {
            let nothing = || anyhow!("nothing was recorded: no container that was asked for ran meanwhile");
            self.errors.push(self.nothing_but_excluded().unwrap_or_else(nothing));
        }
        // Lines go on to the end.
        let Self { args, printer, session, mut errors, watch: _watch, .. } = self;
        // Detached before anything is written.
        drop(session);
        for (recording, plan) in recordings {
            errors.extend(plan.write(recording, &args.trace, printer));
        }
        Ok(Outcome { command, errors })
    }

    /// A container's processes can outlive it, where it has no PID namespace of its own.
    fn name_who_lives_on(&mut self) -> Result<()> {
        self.look_for_empty_cgroups();
        let stopped = self
            .known
            .values()
            .filter(|known| matches!(known.run_state, RunState::Stopped(_) | RunState::Removed(_)));
        for id in stopped.filter_map(|known| known.subject) {
            let elsewhere = self.session.elsewhere(id, &[])?;
            if elsewhere.count > 0
                && let Some(subject) = self.session.subject(id)
            {
                let message = format!(
                    "processes of it outlive it ({elsewhere}): their further calls are not in the recording"
                );
                subject.builder.warn("outlived", message);
            }
        }
        Ok(())
    }

    /// What there is to write, and where.
    fn recordings(&mut self) -> Vec<(Recording, OutputPaths)> {
        let mut parts: BTreeMap<GroupId, Vec<Recording>> = BTreeMap::new();
        for (id, known) in std::mem::take(&mut self.known) {
            if let Some((group, recording)) = self.part(&id, &known) {
                parts.entry(group).or_default().push(recording);
            }
        }
        std::mem::take(&mut self.groups).finish(parts)
    }

    /// What is to be written of one container or cgroup, and with which others.
    fn part(&mut self, id: &str, known: &ContainerState) -> Option<(GroupId, Recording)> {
        let subject_id = known.subject?;
        let subject = self.session.subject(subject_id)?;
        let mut recording = subject.builder.build(true);
        let title = recording.title().into_owned();
        if !subject.has_run {
            // That its calls went nowhere is told.
            if known.missed == Missed::Told {
                return None;
            }
            let reason = format!("{title} never ran while it was watched: nothing to write");
            // Of all containers of a host, most may be stopped; one made anew stands for the one before.
            if self.selector.is_open() || known.run_state.is_over() {
                self.printer.verbose(reason);
            } else {
                self.errors.push(anyhow!(reason));
            }
            return None;
        }
        // Every engine denied it.
        if known.selection == Selection::Undecided && known.not_found_count > 0 && !known.is_unheard {
            return None;
        }
        // One by its name is an error, told when it is written.
        if self.selector.is_open() && !self.args.trace.strict && !has_application(&recording) {
            self.printer.warn(format!(
                "nothing was seen of {title}: it was idle, or only starting; nothing of it is written"
            ));
            return None;
        }
        if recording.boundary.method == BoundaryMethod::Estimated {
            recording.warn("estimated", estimated(&recording.target));
        }
        let group = match (known.selection, known.group) {
            (_, Some(group)) => group,
            (Selection::Selected, None) => self.groups.add(subject_id, &recording.target, &mut self.results),
            (_, None) => {
                let plan = self.write_unidentified(id, &mut recording);
                self.groups.add_alone(subject_id, plan)
            }
        };
        Some((group, recording))
    }

    /// A container ran, and its engine never said what it is: it may be one that was asked for.
    fn write_unidentified(&mut self, id: &str, recording: &mut Recording) -> OutputPaths {
        let message = format!("the container {id} ran, and the engine never said what it is");
        recording.warn("unidentified-container", &message);
        if self.selector.is_all() {
            return self.results.plan(&recording.target);
        }
        self.errors.push(anyhow!(
            "{message}: it may be one that was asked for; what was seen is written all the same"
        ));
        self.results.fallback_paths(&recording.target)
    }
}

fn estimated(target: &Target) -> String {
    let what = "it runs without a seccomp filter, so its boundary is estimated: from its application's first exec on";
    let start = match target.containers().first().map(|container| container.engine.as_str()) {
        Some(engine @ ("docker" | "podman")) => format!("{engine} run --security-opt seccomp=tracing.json …"),
        Some(_) => {
            "with tracing.json as its seccomp profile (in Kubernetes of the type Localhost)".to_owned()
        }
        None if matches!(target, Target::Cgroup { unit: None, .. }) => "where a runtime starts it".to_owned(),
        None => return what.to_owned(),
    };
    format!(
        "{what}; for an exact recording start it under the tracing profile: seccomp-trace tracing-profile > tracing.json; \
         {start}"
    )
}
