//! The engine, asked without holding up the trace: every question is a task, every answer a message.

use std::{future::pending, sync::Arc};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::engine::{ContainerInfo, Engine, EngineError, EngineEvent, docker::Docker};

/// What an engine has said.
#[derive(Debug)]
pub enum Said {
    /// An event.
    Event(EngineEvent),
    /// What it says of a container that was asked about; none where it knows none.
    Answer(String, Result<Option<Box<ContainerInfo>>, EngineError>),
    /// All its containers, asked for again after it was away.
    List(Result<Vec<ContainerInfo>, EngineError>),
}

/// The engine of a session.
pub struct Engines {
    engine: Option<Arc<dyn Engine>>,
    events: UnboundedReceiver<EngineEvent>,
    answers: UnboundedReceiver<Said>,
    answer: UnboundedSender<Said>,
}

impl Engines {
    /// No engine: nothing is ever said.
    pub fn none() -> Self {
        let (_, events) = unbounded_channel();
        let (answer, answers) = unbounded_channel();
        Self { engine: None, events, answers, answer }
    }

    /// Finds the engine. It is asked nothing yet.
    pub async fn connect() -> Result<Self, EngineError> {
        Ok(Self { engine: Some(Arc::new(Docker::connect().await?)), ..Self::none() })
    }

    /// From now on its events are told; then all the containers that there are.
    pub async fn watch(&mut self) -> Result<Vec<ContainerInfo>, EngineError> {
        let Some(engine) = &self.engine else { return Ok(Vec::new()) };
        let (sender, receiver) = unbounded_channel();
        engine.watch(sender).await?;
        self.events = receiver;
        engine.list().await
    }

    /// Is there one?
    pub fn is_some(&self) -> bool {
        self.engine.is_some()
    }

    /// Asks about one container.
    pub fn ask(&self, id: &str) {
        let Some(engine) = self.engine.clone() else { return };
        let (answer, id) = (self.answer.clone(), id.to_owned());
        tokio::spawn(async move {
            let said = engine.inspect(&id).await.map(|info| info.map(Box::new));
            let _ = answer.send(Said::Answer(id, said));
        });
    }

    /// Asks for all containers.
    pub fn ask_for_all(&self) {
        let Some(engine) = self.engine.clone() else { return };
        let answer = self.answer.clone();
        tokio::spawn(async move {
            let _ = answer.send(Said::List(engine.list().await));
        });
    }

    /// The next thing that is said.
    pub async fn next(&mut self) -> Said {
        if self.engine.is_none() {
            return pending().await;
        }
        // Events first: what an answer says of a container may be older than an event of it.
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => Said::Event(event),
            Some(said) = self.answers.recv() => said,
            else => pending().await,
        }
    }
}
