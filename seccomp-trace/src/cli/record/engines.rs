//! The engines, each followed by a task of its own ([`connection`]): no question holds up the trace, and one that hangs holds
//! up no other. What they say comes as messages, in any order.

mod connection;

use std::{
    future::{pending, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use anyhow::{Result, anyhow, bail};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    time::{Instant, timeout_at},
};

use self::connection::{Link, State};
use crate::{
    engine::{
        ContainerInfo, ENGINES, Engine, EngineError, EngineEvent,
        cgroup_path::{self, ContainerCgroup},
    },
    recording::Container,
};

/// An engine's number in the session.
pub type EngineId = usize;

/// How long the start waits for one engine where another one has answered.
const START: Duration = Duration::from_secs(5);

/// A message of an engine.
pub enum EngineMessage {
    /// It is there, and answers.
    Connected(Arc<dyn Engine>),
    /// It is watched from now on, and these are its containers.
    Listed(Vec<ContainerInfo>),
    /// It can't be used now; it is tried again.
    Failed(EngineError),
    /// Something has happened.
    Event(EngineEvent),
    /// What it says of a container that was asked about; none where it knows none.
    Answer(String, Result<Option<Box<ContainerInfo>>, EngineError>),
}

/// The engines of a session.
pub struct Engines {
    links: Vec<Link>,
    message: UnboundedReceiver<(EngineId, EngineMessage)>,
    say: UnboundedSender<(EngineId, EngineMessage)>,
    /// Containers are listed once the kernel program is attached, so that none falls between.
    attached: watch::Sender<bool>,
    /// The user has named them: each must be there.
    are_named: bool,
}

impl Engines {
    /// Looks for the engines of these names; for all where none is named. To be called within a tokio runtime.
    pub fn start(names: &[String]) -> Self {
        let engines = Self { are_named: !names.is_empty(), ..Self::none() };
        let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        let wanted = ENGINES.iter().filter(|(name, _)| is_wanted(name)).enumerate();
        let links = wanted.map(|(id, (name, connect))| {
            Link::start(name, *connect, id, engines.say.clone(), engines.attached.subscribe())
        });
        Self { links: links.collect(), ..engines }
    }

    /// No engine: no message ever arrives.
    pub fn none() -> Self {
        let (say, message) = unbounded_channel();
        Self { links: Vec::new(), message, say, attached: watch::channel(false).0, are_named: false }
    }

    /// Waits until it is known which engines there are, and describes them for people.
    ///
    /// # Errors
    /// Where there is none, or one that was named can't be used.
    pub async fn find(&mut self) -> Result<Vec<String>> {
        let deadline = Instant::now() + START;
        while self.links.iter().any(|link| matches!(link.state, State::Unknown)) {
            let is_enough = !self.are_named && self.found().next().is_some();
            let Some((_, message)) = self.next_until(deadline, is_enough).await else { break };
            if let EngineMessage::Failed(error) = message
                && self.are_named
            {
                return Err(error.into());
            }
        }
        if self.found().next().is_none() {
            let reasons: Vec<_> = self.links.iter().filter_map(Link::problem).collect();
            bail!("no container engine can be asked: {}", reasons.join("; "));
        }
        Ok(self.found().map(|engine| engine.found()).collect())
    }

    fn found(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        self.links.iter().filter_map(Link::engine)
    }

    /// Why those that are here and don't answer can't be asked.
    pub fn problems(&self) -> Vec<String> {
        let is_here = |link: &&Link| !matches!(link.state, State::Absent(_));
        self.links.iter().filter(is_here).filter_map(Link::problem).collect()
    }

    /// The kernel program is attached: from now on they are watched, and list their containers.
    pub fn set_attached(&self) {
        self.attached.send_replace(true);
    }

    /// The next message at the start; none where every engine has listed its containers, or the others have and this
    /// one takes too long.
    ///
    /// # Errors
    /// Where none is left that may list its containers, or one that was named can't.
    pub async fn next_at_start(&mut self, deadline: Instant) -> Result<Option<(EngineId, EngineMessage)>> {
        let has_listed = |links: &[Link]| links.iter().any(|link| matches!(link.state, State::Watched(_)));
        if !self.links.iter().any(|link| matches!(link.state, State::Connected(_))) {
            return Ok(None);
        }
        let is_enough = !self.are_named && has_listed(&self.links);
        let Some(next) = self.next_until(deadline, is_enough).await else { return Ok(None) };
        // Another one may still list its containers.
        let is_last = !has_listed(&self.links)
            && self.links.iter().filter(|link| link.engine().is_some()).all(|link| link.has_failed);
        match next {
            (_, EngineMessage::Failed(error)) if self.are_named || is_last => Err(error.into()),
            next => Ok(Some(next)),
        }
    }

    /// The next message; none where that takes too long, and nobody has to be waited for.
    async fn next_until(&mut self, deadline: Instant, is_enough: bool) -> Option<(EngineId, EngineMessage)> {
        if is_enough { timeout_at(deadline, self.next()).await.ok() } else { Some(self.next().await) }
    }

    /// When the start waits no longer for an engine.
    pub fn start_deadline() -> Instant {
        Instant::now() + START
    }

    /// An engine's name.
    pub fn name(&self, id: EngineId) -> &'static str {
        self.links.get(id).map_or("the engine", |link| link.name)
    }

    /// Is any to be asked?
    pub fn is_some(&self) -> bool {
        !self.links.is_empty()
    }

    /// As [`Self::container_of`], as one engine names cgroups.
    pub fn container_of_one<'a>(&self, id: EngineId, path: &'a str) -> Option<ContainerCgroup<'a>> {
        self.links.get(id)?.engine()?.container_of(path)
    }

    /// The container whose cgroup a path is, or lies below, as the engines name cgroups.
    pub fn container_of<'a>(&self, path: &'a str) -> Option<ContainerCgroup<'a>> {
        self.found()
            .find_map(|engine| engine.container_of(path))
            .or_else(|| cgroup_path::container(path).filter(|_| self.is_some()))
    }

    /// The command that starts a container anew.
    pub fn restart(&self, id: EngineId, container: &Container) -> Option<Vec<String>> {
        self.links.get(id)?.engine()?.restart(container)
    }

    /// Asks about one container: the engine that has named it, else all. Returns how many answers will come.
    pub fn ask(&self, container: &str, of: Option<EngineId>) -> usize {
        let is_asked = |id: EngineId| of.is_none_or(|of| of == id);
        let links = self.links.iter().enumerate().filter(|(id, _)| is_asked(*id));
        let mut count = 0;
        for (id, link) in links {
            let (say, container) = (self.say.clone(), container.to_owned());
            match &link.state {
                State::Absent(_) => continue,
                State::Connected(engine) | State::Watched(engine) => {
                    let engine = Arc::clone(engine);
                    tokio::spawn(async move {
                        let answer = engine.inspect(&container).await.map(|info| info.map(Box::new));
                        let _ = say.send((id, EngineMessage::Answer(container, answer)));
                    });
                }
                // It may be this one's: nobody knows.
                State::Unknown | State::Failed(_) => {
                    let reason = link.problem().unwrap_or_default();
                    let answer = Err(EngineError::Refused { engine: link.name, reason });
                    let _ = say.send((id, EngineMessage::Answer(container, answer)));
                }
            }
            count += 1;
        }
        count
    }

    /// Asks an engine for all its containers, until it has listed them.
    pub fn list_again(&mut self, id: EngineId) {
        if let Some(link) = self.links.get_mut(id) {
            link.list_again(id, self.say.clone());
        }
    }

    /// Does an engine know all that there is now? One that was away does so once it has listed its containers again.
    pub fn is_up_to_date(&self, id: EngineId) -> bool {
        self.links.get(id).is_some_and(Link::is_up_to_date)
    }

    /// The next message.
    pub async fn next(&mut self) -> (EngineId, EngineMessage) {
        if self.links.is_empty() {
            return pending().await;
        }
        let Self { links, message, .. } = self;
        let (id, message) = poll_fn(|context| {
            // Events first: what an answer says of a container may be older than an event of it.
            for (id, link) in links.iter_mut().enumerate() {
                if let Poll::Ready(Some(event)) = link.events.poll_recv(context) {
                    return Poll::Ready((id, EngineMessage::Event(event)));
                }
            }
            match message.poll_recv(context) {
                Poll::Ready(Some(message)) => Poll::Ready(message),
                // It never ends: we hold a sender.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        })
        .await;
        if let Some(link) = links.get_mut(id) {
            link.take(&message);
        }
        (id, message)
    }
}

/// Names a failure for people, where there is one to tell: an engine that is not here is no failure.
pub fn failure(error: &EngineError) -> Option<anyhow::Error> {
    match error {
        EngineError::Absent { .. } => None,
        error => Some(anyhow!("{error}; tracing continues, retrying")),
    }
}
