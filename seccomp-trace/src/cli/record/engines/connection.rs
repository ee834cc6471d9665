//! One engine, from the first attempt to reach it on: found, watched, and asked for its list, as often as it takes.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc::UnboundedReceiver, mpsc::UnboundedSender, mpsc::unbounded_channel, watch},
    task::AbortHandle,
    time::sleep,
};

use super::{EngineId, EngineMessage};
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
    /// It has answered, and could not list its containers.
    pub has_failed: bool,
    /// Lists its containers anew.
    listing: Option<AbortHandle>,
}

impl Link {
    /// Starts to look for it.
    pub fn start(
        name: &'static str,
        connect: Connect,
        id: EngineId,
        say: UnboundedSender<(EngineId, EngineMessage)>,
        attached: watch::Receiver<bool>,
    ) -> Self {
        let (sender, events) = unbounded_channel();
        tokio::spawn(follow(connect, id, say, sender, attached));
        Self { name, state: State::Unknown, events, has_failed: false, listing: None }
    }

    /// The engine, where it has answered.
    pub fn engine(&self) -> Option<&Arc<dyn Engine>> {
        match &self.state {
            State::Connected(engine) | State::Watched(engine) => Some(engine),
            State::Unknown | State::Absent(_) | State::Failed(_) => None,
        }
    }

    /// Lists its containers again, until that is done.
    pub fn list_again(&mut self, id: EngineId, say: UnboundedSender<(EngineId, EngineMessage)>) {
        let Some(engine) = self.engine().cloned() else { return };
        let task = tokio::spawn(async move { list(&*engine, id, &say, SHORTEST_PAUSE).await });
        if let Some(old) = self.listing.replace(task.abort_handle()) {
            old.abort();
        }
    }

    /// Does it know all that there is now?
    pub fn is_up_to_date(&self) -> bool {
        matches!(self.state, State::Watched(_) | State::Absent(_))
    }

    /// Why its containers are not known; none where they are.
    pub fn problem(&self) -> Option<String> {
        match &self.state {
            State::Absent(reason) | State::Failed(reason) => Some(reason.clone()),
            State::Unknown | State::Connected(_) => Some(format!("{} does not answer", self.name)),
            State::Watched(_) => None,
        }
    }

    /// Keeps in mind what a message says.
    pub fn take(&mut self, message: &EngineMessage) {
        match message {
            EngineMessage::Connected(engine) => self.state = State::Connected(Arc::clone(engine)),
            EngineMessage::Listed(_) => {
                if let State::Connected(engine) = &self.state {
                    self.state = State::Watched(Arc::clone(engine));
                }
            }
            // One that has answered before is asked on.
            EngineMessage::Failed(_) if self.engine().is_some() => self.has_failed = true,
            EngineMessage::Failed(error) => {
                self.state = match error {
                    EngineError::Absent { .. } => State::Absent(error.to_string()),
                    _ => State::Failed(error.to_string()),
                };
            }
            // What it says of a container before it has listed all again may not be the last word.
            EngineMessage::Event(EngineEvent::Disconnected { .. }) => {
                if let State::Watched(engine) = &self.state {
                    self.state = State::Connected(Arc::clone(engine));
                }
            }
            EngineMessage::Event(_) | EngineMessage::Answer(..) => {}
        }
    }
}

/// Until its containers are known, or nobody listens any more. From then on it finds itself again.
async fn follow(
    connect: Connect,
    id: EngineId,
    say: UnboundedSender<(EngineId, EngineMessage)>,
    events: UnboundedSender<EngineEvent>,
    mut attached: watch::Receiver<bool>,
) {
    let mut pause = SHORTEST_PAUSE;
    let mut again = async |error| {
        let is_heard = say.send((id, EngineMessage::Failed(error))).is_ok();
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
    let _ = say.send((id, EngineMessage::Connected(Arc::clone(&engine))));
    if attached.wait_for(|attached| *attached).await.is_err() {
        return;
    }
    // Events first: what happens while it lists is not missed.
    while let Err(error) = engine.watch(events.clone()).await {
        if !again(error).await {
            return;
        }
    }
    list(&*engine, id, &say, pause).await;
}

/// Until its containers are listed, or nobody listens any more.
async fn list(
    engine: &dyn Engine,
    id: EngineId,
    say: &UnboundedSender<(EngineId, EngineMessage)>,
    mut pause: Duration,
) {
    loop {
        let message = match engine.list().await {
            Ok(list) => EngineMessage::Listed(list),
            Err(error) => EngineMessage::Failed(error),
        };
        let is_done = matches!(message, EngineMessage::Listed(_));
        if say.send((id, message)).is_err() || is_done {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
