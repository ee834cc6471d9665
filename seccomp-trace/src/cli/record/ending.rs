//! The end: when there is one, and what is written then.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, timeout_at};

use super::{
    Outcome,
    known::{Life, Verdict},
    start::Record,
};
use crate::recording::FoundBy;

/// How long the engine may take at the end to name what it has not named yet.
const LAST_WORDS: Duration = Duration::from_secs(3);

impl Record<'_> {
    /// Has everything ended that was asked for by its own name? Never where more can come.
    pub fn is_all_over(&mut self) -> bool {
        self.look_for_empty_cgroups();
        let mut wanted = self.known.values().filter(|known| known.verdict == Verdict::Wanted).peekable();
        !self.selector.is_open()
            && self.args.trace.duration.is_none()
            && wanted.peek().is_some()
            && wanted.all(|known| known.life.is_over())
            && self.missing().is_empty()
    }

    /// A cgroup without an engine has ended when it stays empty.
    fn look_for_empty_cgroups(&mut self) {
        for (path, known) in self.known.iter_mut().filter(|(path, _)| path.starts_with('/')) {
            let tree = self.hierarchy.tree(path);
            let is_populated = tree.iter().any(|path| !self.hierarchy.processes(path).is_empty());
            known.life = match (is_populated, known.life) {
                (true, _) => Life::Running,
                (false, Life::Running) => Life::Stopped(std::time::Instant::now()),
                (false, life) => life,
            };
        }
    }

    /// What was asked for and never came.
    fn missing(&self) -> Vec<String> {
        let containers: Vec<_> = self.known.values().filter_map(|known| known.container.as_ref()).collect();
        self.selector.unmatched(&containers).iter().map(ToString::to_string).collect()
    }

    /// Takes the last news, reads the sets, detaches, and writes every recording and profile.
    pub async fn write_all(mut self, command: Option<u8>) -> Result<Outcome> {
        let deadline = Instant::now() + LAST_WORDS;
        self.take_all_news()?;
        while self.known.values().any(|known| known.subject.is_some() && known.is_asked) {
            let Ok(said) = timeout_at(deadline, self.engines.next()).await else { break };
            self.take_said(said)?;
        }
        self.take_all_news()?;
        self.session.finish()?;
        for missing in self.missing() {
            self.troubles.push(anyhow!("{missing}: never appeared"));
        }
        let mut recordings = Vec::new();
        for known in
            std::mem::take(&mut self.known).into_values().filter(|known| known.verdict == Verdict::Wanted)
        {
            let Some(subject) = known.subject.and_then(|id| self.session.subject(id)) else { continue };
            let mut recording = subject.builder.build(true);
            if !subject.has_run {
                let reason =
                    format!("{} never ran while it was watched: nothing to write", recording.title());
                // Of all containers of a host, most may be stopped.
                if self.selector.is_open() {
                    self.printer.verbose(reason);
                } else {
                    self.troubles.push(anyhow!(reason));
                }
                known.plan.remove_checkpoint();
                continue;
            }
            if recording.boundary.found_by == FoundBy::Estimated {
                let title = recording.title().to_owned();
                recording.warn("estimated", estimated(&title));
            }
            recordings.push((recording, known.plan));
        }
        if recordings.is_empty() && self.troubles.is_empty() {
            self.troubles
                .push(anyhow!("nothing was recorded: no container that was asked for ran meanwhile"));
        }
        let Self { args, printer, session, mut troubles, .. } = self;
        // Detached before anything is written.
        drop(session);
        for (recording, plan) in recordings {
            troubles.extend(plan.write(&recording, &args.trace, printer));
        }
        Ok(Outcome { command, troubles })
    }
}

fn estimated(title: &str) -> String {
    format!(
        "{title} runs without a seccomp filter, so its boundary is estimated: from its application's first exec on; for an \
         exact recording start it under the tracing profile: seccomp-trace tracing-profile > tracing.json; \
         docker run --security-opt seccomp=tracing.json …"
    )
}
