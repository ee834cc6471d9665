//! What the engines say: events and answers, in any order.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    container_state::{ContainerState, NOT_FOUND_ENOUGH, RunState, Selection},
    engines::{EngineId, EngineMessage, failure},
    recorder::Record,
};
use crate::engine::{EngineError, EngineEvent};

/// After no failure for this long, one answer shows that an engine is well.
const CALM: Duration = Duration::from_secs(30);

impl Record<'_> {
    /// Handles one message of an engine.
    pub fn handle_engine_message(&mut self, engine: EngineId, message: EngineMessage) -> Result<()> {
        match message {
            EngineMessage::Connected(found) => {
                self.complained.remove(&engine);
                self.printer.note(format!("found {}", found.found()));
            }
            EngineMessage::Listed(containers) => {
                self.complained.remove(&engine);
                for info in &containers {
                    self.described(engine, info, true)?;
                }
                // Removed while it was away: no event tells.
                for known in self.known.values_mut().filter(|known| known.engine == Some(engine)) {
                    if std::mem::take(&mut known.is_unconfirmed) {
                        known.run_state = RunState::Removed(Instant::now());
                    }
                }
            }
            EngineMessage::Failed(error) => self.warn_once_per_outage(engine, &error),
            EngineMessage::Event(event) => self.take_event(engine, event)?,
            EngineMessage::Answer(id, answer) => self.take_answer(engine, &id, answer)?,
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
        known.pending_lookups = known.pending_lookups.saturating_sub(1);
        let is_last = known.pending_lookups == 0;
        match answer {
            Ok(Some(info)) => {
                // Some answers come while others don't.
                if self.complained.get(&engine).is_some_and(|last| last.elapsed() > CALM) {
                    self.complained.remove(&engine);
                }
                return self.described(engine, &info, false);
            }
            // One that was away may hear of it only now.
            Ok(None) => known.lookup_inconclusive |= !self.engines.is_up_to_date(engine),
            Err(error) => {
                known.lookup_inconclusive = true;
                self.warn_once_per_outage(engine, &error);
            }
        }
        if is_last { self.denied(id) } else { Ok(()) }
    }

    /// No engine knows such a container. One that an event has named is already gone; of another one an event may still
    /// be on its way, so they are asked once more; and so they are where one could not answer.
    fn denied(&mut self, id: &str) -> Result<()> {
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        if std::mem::take(&mut known.lookup_inconclusive) || known.is_described {
            return Ok(());
        }
        known.not_found_count += 1;
        if known.container.is_some() || known.not_found_count < NOT_FOUND_ENOUGH {
            return Ok(());
        }
        // Nobody knows it, or no message about it has arrived.
        if known.is_unheard {
            return Ok(());
        }
        known.is_discarded = known.subject.is_some();
        self.unselect(id)
    }

    /// Once, until it has listed its containers again.
    fn warn_once_per_outage(&mut self, engine: EngineId, error: &EngineError) {
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
        if let Some(known) = self.known.get_mut(id).filter(|known| known.needs_lookup()) {
            known.pending_lookups = self.engines.ask(id, known.engine);
        }
    }

    fn take_event(&mut self, engine: EngineId, event: EngineEvent) -> Result<()> {
        match event {
            EngineEvent::Created(container) => self.named(engine, &container, false)?,
            EngineEvent::Renamed { id, name } => self.renamed(engine, &id, name)?,
            EngineEvent::Started { id } => {
                if let Some(known) =
                    self.known.get_mut(&id).filter(|known| known.selection != Selection::Unselected)
                {
                    known.run_state = RunState::Running;
                    known.is_unconfirmed = false;
                    known.pending_lookups += self.engines.ask(&id, Some(engine));
                }
            }
            EngineEvent::Stopped { id } => self.set_life(&id, RunState::Stopped(Instant::now())),
            EngineEvent::Removed { id } => {
                self.set_life(&id, RunState::Removed(Instant::now()));
                // It never comes again; a session may last for days.
                if self.known.get(&id).is_some_and(ContainerState::is_discardable) {
                    self.known.remove(&id);
                }
            }
            EngineEvent::Disconnected { reason } => {
                let name = self.engines.name(engine);
                self.complain_once(
                    engine,
                    &format!("lost the connection to {name} ({reason}); tracing continues, reconnecting"),
                );
            }
            EngineEvent::Reconnected => {
                self.printer.note(format!("reconnected to {}", self.engines.name(engine)));
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

    fn set_life(&mut self, id: &str, run_state: RunState) {
        if let Some(known) = self.known.get_mut(id) {
            known.run_state = run_state;
            known.is_unconfirmed = false;
        }
    }
}
