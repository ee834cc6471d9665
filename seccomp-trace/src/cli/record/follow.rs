//! The loop: what the kernel tells, what the engine says, signals, the command, the clock.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use tokio::{process::Child, time};

use super::{
    engines::Said,
    known::{Known, Life, Verdict},
    start::Record,
};
use crate::{
    cli::{child, session::News},
    engine::{EngineEvent, cgroup_path},
    launch::Signals,
    recording::Target,
};

/// How often a checkpoint is written while something is new, and how often ended targets are looked for.
const TICK: Duration = Duration::from_secs(1);

/// The loop and its command.
pub struct Follow<'r, 'a> {
    record: &'r mut Record<'a>,
    child: Option<Child>,
}

impl<'r, 'a> Follow<'r, 'a> {
    /// Before its first turn.
    pub fn new(record: &'r mut Record<'a>, child: Option<Child>) -> Self {
        Self { record, child }
    }

    /// The command's exit code, where there is one. Outer None: quit at once.
    pub async fn until_the_end(mut self, signals: &mut Signals) -> Result<Option<Option<u8>>> {
        let mut tick = time::interval(TICK);
        let mut interrupts = child::Interrupts::default();
        let mut over = pin!(time::sleep(self.record.args.trace.duration.unwrap_or(Duration::MAX)));
        let mut is_over = false;
        loop {
            tokio::select! {
                () = self.record.session.wait() => self.record.take_all_news()?,
                said = self.record.engines.next() => self.record.take_said(said)?,
                status = ended(&mut self.child) => return Ok(Some(Some(status?))),
                signal = signals.next() => {
                    if interrupts.is_second(signal) {
                        return Ok(None);
                    }
                    match &self.child {
                        Some(child) => child::pass_on(child, signal),
                        None if signal.asks_to_end() => return Ok(Some(None)),
                        None => {}
                    }
                }
                () = &mut over, if !is_over => {
                    is_over = true;
                    match &self.child {
                        Some(child) => child::terminate(child),
                        None => return Ok(Some(None)),
                    }
                }
                _ = tick.tick() => {
                    self.record.checkpoint()?;
                    if self.child.is_none() && self.record.is_all_over() {
                        return Ok(Some(None));
                    }
                }
            }
        }
    }
}

async fn ended(child: &mut Option<Child>) -> Result<u8> {
    match child {
        Some(child) => child.wait().await.map(child::exit_code).context("can't wait for COMMAND"),
        None => std::future::pending().await,
    }
}

impl Record<'_> {
    /// All that the kernel program has told.
    pub fn take_all_news(&mut self) -> Result<()> {
        while let Some(news) = self.session.next_news()? {
            self.take_news(news)?;
        }
        Ok(())
    }

    fn take_news(&mut self, news: News) -> Result<()> {
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
        let is_below = |target: &String| {
            path == target || path.starts_with(&format!("{}/", target.trim_end_matches('/')))
        };
        let target = self.resolved.cgroups.iter().find(|target| is_below(target)).cloned();
        let key = match (target, cgroup_path::container(path)) {
            (Some(target), _) => target,
            (None, Some(container)) if self.engines.is_some() => container.id.to_owned(),
            // A folder, a service, a user's session.
            _ => return Ok(self.session.forget_folder(slot)?),
        };
        let known = self.known.entry(key.clone()).or_insert_with(Known::new);
        if known.verdict == Verdict::Unwanted {
            return Ok(self.session.ignore_slot(slot)?);
        }
        known.life = Life::Running;
        let subject = *known.subject.get_or_insert_with(|| {
            let container = crate::recording::Container { id: key.clone(), ..Default::default() };
            self.session.add(Target::Container(container))
        });
        self.session.assign(slot, subject);
        let is_complete = known.container.as_ref().is_some_and(|container| container.runtime.is_some());
        if key.starts_with('/') || is_complete || known.is_asked {
            return Ok(());
        }
        known.is_asked = true;
        self.engines.ask(&key);
        Ok(())
    }

    /// What the engine says.
    pub fn take_said(&mut self, said: Said) -> Result<()> {
        match said {
            Said::Event(event) => self.take_event(event)?,
            Said::Answer(id, answer) => {
                if let Some(known) = self.known.get_mut(&id) {
                    known.is_asked = false;
                }
                match answer {
                    Ok(Some(info)) => self.found(&info, false)?,
                    // Another engine's. One that an event has named is this one's, and already gone.
                    Ok(None) => self.drop_unknown(&id)?,
                    Err(error) => self.printer.warn(format!("{error}; it is asked again")),
                }
            }
            Said::List(Ok(containers)) => {
                for info in &containers {
                    self.found(info, false)?;
                }
            }
            Said::List(Err(error)) => self.printer.warn(error),
        }
        Ok(())
    }

    fn drop_unknown(&mut self, id: &str) -> Result<()> {
        if let Some(known) = self.known.get_mut(id)
            && known.container.is_none()
        {
            known.verdict = Verdict::Unwanted;
            if let Some(subject) = known.subject.take() {
                self.session.discard(subject)?;
            }
        }
        Ok(())
    }

    fn take_event(&mut self, event: EngineEvent) -> Result<()> {
        match event {
            EngineEvent::Known(container) => self.name(&container)?,
            EngineEvent::Renamed { id, name } => {
                let known = self.known.get_mut(&id).filter(|known| known.verdict == Verdict::Wanted);
                if let Some(subject) = known.and_then(|known| known.subject)
                    && let Some(subject) = self.session.subject(subject)
                    && let Target::Container(container) = subject.builder.target_mut()
                {
                    container.name = name;
                }
            }
            EngineEvent::Started { id } => {
                if let Some(known) = self.known.get_mut(&id).filter(|known| known.verdict != Verdict::Unwanted) {
                    known.life = Life::Running;
                    known.is_asked = true;
                    self.engines.ask(&id);
                }
            }
            EngineEvent::Stopped { id } => self.set_life(&id, Life::Stopped(Instant::now())),
            EngineEvent::Removed { id } => self.set_life(&id, Life::Removed),
            EngineEvent::Away { reason } => self.printer.warn(format!(
                "the engine is away ({reason}); what runs is recorded on, and it is asked again until it answers"
            )),
            EngineEvent::Back => {
                self.printer.note("the engine answers again");
                self.engines.ask_for_all();
            }
        }
        Ok(())
    }

    fn set_life(&mut self, id: &str, life: Life) {
        if let Some(known) = self.known.get_mut(id) {
            known.life = life;
        }
    }

    /// Keeps what is new. A full disk stops nobody.
    fn checkpoint(&mut self) -> Result<()> {
        for known in self.known.values().filter(|known| known.verdict == Verdict::Wanted) {
            let Some(id) = known.subject else { continue };
            if let Some(recording) = self.session.checkpoint(id)?
                && let Err(error) = known.plan.write_checkpoint(&recording)
            {
                self.printer.warn(format!("no checkpoint was written: {error:#}"));
            }
        }
        for (id, known) in self.known.iter_mut() {
            if known.verdict == Verdict::Pending && !known.is_asked {
                known.is_asked = true;
                self.engines.ask(id);
            }
        }
        Ok(())
    }
}
