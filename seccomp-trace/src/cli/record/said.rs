//! What the engine says: events and answers, in any order.

use std::time::Instant;

use anyhow::Result;

use super::{
    engines::Said,
    known::{DENIALS, Life, Verdict},
    start::Record,
};
use crate::engine::{EngineError, EngineEvent};

impl Record<'_> {
    /// One thing that the engine has said.
    pub fn take_said(&mut self, said: Said) -> Result<()> {
        match said {
            Said::Event(event) => self.take_event(event),
            Said::Answer(id, answer) => {
                if let Some(known) = self.known.get_mut(&id) {
                    known.is_asked = false;
                }
                match answer {
                    Ok(Some(info)) => {
                        self.has_complained = false;
                        self.described(&info, false)
                    }
                    Ok(None) => self.denied(&id),
                    Err(error) => {
                        self.complain(&error);
                        Ok(())
                    }
                }
            }
            Said::List(Ok(containers)) => containers.iter().try_for_each(|info| self.described(info, false)),
            Said::List(Err(error)) => {
                self.complain(&error);
                Ok(())
            }
        }
    }

    /// The engine knows no such container. One that an event has named is already gone; of another one an event may
    /// still be on its way, so it is asked once more.
    fn denied(&mut self, id: &str) -> Result<()> {
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        known.denials += 1;
        if known.container.is_none() && known.denials >= DENIALS { self.leave_out(id) } else { Ok(()) }
    }

    /// Once, until it answers again.
    fn complain(&mut self, error: &EngineError) {
        if !std::mem::replace(&mut self.has_complained, true) {
            self.printer.warn(format!("{error}; what runs is recorded on, and it is asked again"));
        }
    }

    fn take_event(&mut self, event: EngineEvent) -> Result<()> {
        match event {
            EngineEvent::Known(container) => self.named(&container, false)?,
            EngineEvent::Renamed { id, name } => self.renamed(&id, name)?,
            EngineEvent::Started { id } => {
                if let Some(known) = self.known.get_mut(&id).filter(|known| known.verdict != Verdict::Unwanted) {
                    known.life = Life::Running;
                    known.is_asked = true;
                    self.engines.ask(&id);
                }
            }
            EngineEvent::Stopped { id } => self.set_life(&id, Life::Stopped(Instant::now())),
            EngineEvent::Removed { id } => {
                self.set_life(&id, Life::Removed);
                // It never comes again; a session may last for days.
                if self.known.get(&id).is_some_and(|known| known.verdict == Verdict::Unwanted) {
                    self.known.remove(&id);
                }
            }
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
}
