//! What the engines say: events and answers, in any order.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    engines::{EngineId, Said, failure},
    known::{DENIALS, Known, Life, Verdict},
    start::Record,
};
use crate::engine::{EngineError, EngineEvent};

/// After no failure for this long, one answer shows that an engine is well.
const CALM: Duration = Duration::from_secs(30);

impl Record<'_> {
    /// One thing that an engine has said.
    pub fn take_said(&mut self, engine: EngineId, said: Said) -> Result<()> {
        match said {
            Said::Connected(found) => {
                self.complained.remove(&engine);
                self.printer.note(format!("found {}", found.found()));
            }
            Said::Listed(containers) => {
                self.complained.remove(&engine);
                for info in &containers {
                    self.described(engine, info, true)?;
                }
                // Removed while it was away: no event tells.
                for known in self.known.values_mut().filter(|known| known.engine == Some(engine)) {
                    if std::mem::take(&mut known.is_unconfirmed) {
                        known.life = Life::Removed(Instant::now());
                    }
                }
            }
            Said::Failed(error) => self.complain(engine, &error),
            Said::Event(event) => self.take_event(engine, event)?,
            Said::Answer(id, answer) => self.take_answer(engine, &id, answer)?,
        }
        Ok(())
    }

    fn take_answer(
        &mut self,
        engine: EngineId,
        id: &str,
        answer: Result<Option<Box<crate::engine::ContainerInfo>>, EngineError>,
    ) -> Result<()> {
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        known.asked = known.asked.saturating_sub(1);
        let is_last = known.asked == 0;
        match answer {
            Ok(Some(info)) => {
                // Some answers come while others don't.
                if self.complained.get(&engine).is_some_and(|last| last.elapsed() > CALM) {
                    self.complained.remove(&engine);
                }
                return self.described(engine, &info, false);
            }
            // One that was away may hear of it only now.
            Ok(None) => known.is_doubtful |= !self.engines.is_up_to_date(engine),
            Err(error) => {
                known.is_doubtful = true;
                self.complain(engine, &error);
            }
        }
        if is_last { self.denied(id) } else { Ok(()) }
    }

    /// No engine knows such a container. One that an event has named is already gone; of another one an event may still
    /// be on its way, so they are asked once more; and so they are where one could not answer.
    fn denied(&mut self, id: &str) -> Result<()> {
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        if std::mem::take(&mut known.is_doubtful) || known.is_described {
            return Ok(());
        }
        known.denials += 1;
        if known.container.is_some() || known.denials < DENIALS {
            return Ok(());
        }
        // Nobody knows it, or nobody has heard what was said of it.
        if known.is_unheard {
            return Ok(());
        }
        known.is_discarded = known.subject.is_some();
        self.leave_out(id)
    }

    /// Once, until it has listed its containers again.
    fn complain(&mut self, engine: EngineId, error: &EngineError) {
        if let Some(failure) = failure(error) {
            self.complain_once(engine, &failure.to_string());
        }
    }

    fn complain_once(&mut self, engine: EngineId, message: &str) {
        if self.complained.insert(engine, Instant::now()).is_none() {
            self.printer.warn(message);
        }
    }

    /// Asks about a container of which there is more to hear.
    pub fn ask(&mut self, id: &str) {
        if let Some(known) = self.known.get_mut(id).filter(|known| known.is_to_be_asked()) {
            known.asked = self.engines.ask(id, known.engine);
        }
    }

    fn take_event(&mut self, engine: EngineId, event: EngineEvent) -> Result<()> {
        match event {
            EngineEvent::Known(container) => self.named(engine, &container, false)?,
            EngineEvent::Renamed { id, name } => self.renamed(engine, &id, name)?,
            EngineEvent::Started { id } => {
                if let Some(known) =
                    self.known.get_mut(&id).filter(|known| known.verdict != Verdict::Unwanted)
                {
                    known.life = Life::Running;
                    known.is_unconfirmed = false;
                    known.asked += self.engines.ask(&id, Some(engine));
                }
            }
            EngineEvent::Stopped { id } => self.set_life(&id, Life::Stopped(Instant::now())),
            EngineEvent::Removed { id } => {
                self.set_life(&id, Life::Removed(Instant::now()));
                // It never comes again; a session may last for days.
                if self.known.get(&id).is_some_and(Known::is_nobodys) {
                    self.known.remove(&id);
                }
            }
            EngineEvent::Away { reason } => {
                let name = self.engines.name(engine);
                self.complain_once(
                    engine,
                    &format!(
                        "{name} is away ({reason}); what runs is recorded on, and it is asked again until it answers"
                    ),
                );
            }
            EngineEvent::Back => {
                self.printer.note(format!("{} answers again", self.engines.name(engine)));
                for known in self.known.values_mut().filter(|known| known.engine == Some(engine)) {
                    known.is_unconfirmed = true;
                    // The list is newer than what was told before.
                    known.renamed = None;
                }
                self.engines.list_again(engine);
            }
        }
        Ok(())
    }

    fn set_life(&mut self, id: &str, life: Life) {
        if let Some(known) = self.known.get_mut(id) {
            known.life = life;
            known.is_unconfirmed = false;
        }
    }
}
