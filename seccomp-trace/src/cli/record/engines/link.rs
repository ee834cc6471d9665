//! One engine, from the first attempt to reach it on: found, watched, and asked for its list, as often as it takes.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc::UnboundedReceiver, mpsc::UnboundedSender, mpsc::unbounded_channel, watch},
    time::sleep,
};

use super::{EngineId, Said};
use crate::engine::{Connect, Engine, EngineError, EngineEvent};

/// Between two attempts. It grows: an engine may be away for days.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How far it is.
#[derive(Clone)]
pub enum State {
    /// Not known yet.
    Unknown,
    /// It is not on this host, or does not run.
    Absent(String),
    /// It is there, and can't be used: why. It is tried again.
    Failed(String),
    /// It answers, and has not listed its containers yet.
    Connected(Arc<dyn Engine>),
    /// Its containers are known, and all that happens to them.
    Watched(Arc<dyn Engine>),
}

/// An engine and what it tells.
pub struct Link {
    /// As `--engine` takes it.
    pub name: &'static str,
    /// How far it is.
    pub state: State,
    /// What happens to its containers.
    pub events: UnboundedReceiver<EngineEvent>,
}

impl Link {
    /// Starts to look for it.
    pub fn start(
        name: &'static str,
        connect: Connect,
        id: EngineId,
        say: UnboundedSender<(EngineId, Said)>,
        attached: watch::Receiver<bool>,
    ) -> Self {
        let (sender, events) = unbounded_channel();
        tokio::spawn(follow(connect, id, say, sender, attached));
        Self { name, state: State::Unknown, events }
    }

    /// The engine, where it has answered.
    pub fn engine(&self) -> Option<&Arc<dyn Engine>> {
        match &self.state {
            State::Connected(engine) | State::Watched(engine) => Some(engine),
            State::Unknown | State::Absent(_) | State::Failed(_) => None,
        }
    }

    /// Why its containers are not known; none where they are.
    pub fn problem(&self) -> Option<String> {
        match &self.state {
            State::Absent(reason) | State::Failed(reason) => Some(reason.clone()),
            State::Unknown | State::Connected(_) => Some(format!("{} does not answer", self.name)),
            State::Watched(_) => None,
        }
    }

    /// Keeps in mind what has been said.
    pub fn take(&mut self, said: &Said) {
        match said {
            Said::Connected(engine) => self.state = State::Connected(Arc::clone(engine)),
            Said::Listed(_) => {
                if let State::Connected(engine) = &self.state {
                    self.state = State::Watched(Arc::clone(engine));
                }
            }
            // One that has answered before is asked on.
            Said::Failed(error) if self.engine().is_none() => {
                self.state = match error {
                    EngineError::Absent { .. } => State::Absent(error.to_string()),
                    _ => State::Failed(error.to_string()),
                };
            }
            Said::Failed(_) | Said::Event(_) | Said::Answer(..) => {}
        }
    }
}

/// Until its containers are known, or nobody listens any more. From then on it finds itself again.
async fn follow(
    connect: Connect,
    id: EngineId,
    say: UnboundedSender<(EngineId, Said)>,
    events: UnboundedSender<EngineEvent>,
    mut attached: watch::Receiver<bool>,
) {
    let mut pause = SHORTEST_PAUSE;
    let mut again = async |error| {
        let is_heard = say.send((id, Said::Failed(error))).is_ok();
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        is_heard
    };
    let engine = loop {
        match connect().await {
            Ok(engine) => break engine,
            Err(error) => {
                if !again(error).await {
                    return;
                }
            }
        }
    };
    let _ = say.send((id, Said::Connected(Arc::clone(&engine))));
    if attached.wait_for(|attached| *attached).await.is_err() {
        return;
    }
    // Events first: what happens while it lists is not missed.
    while let Err(error) = engine.watch(events.clone()).await {
        if !again(error).await {
            return;
        }
    }
    loop {
        match engine.list().await {
            Ok(list) => {
                let _ = say.send((id, Said::Listed(list)));
                return;
            }
            Err(error) => {
                if !again(error).await {
                    return;
                }
            }
        }
    }
}
