//! containerd's events as ours. The stream has no history: after it broke the containers have to be listed again.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{interval, sleep};
use tonic::{Status, Streaming};

use super::api::{self, Any, ContainerEvent, Empty, Envelope, Filters, Named, Publish, TaskEvent, TaskExit};
use super::ask::Asked;
use super::cgroups::{DOCKERS, container_id};
use super::client::{Client, reason, timed};
use crate::engine::cgroup_path::is_id;
use crate::engine::{EngineError, EngineEvent};
use crate::recording::Container;

/// Our own event, in a namespace of its own, which says nothing: see [`subscribe`].
const HELLO: (&str, &str) = ("seccomp-trace", "/seccomp-trace/watch");
/// What is asked for; what there is beside is of images, snapshots and content.
const TOPICS: &str = r#"topic~="^/(containers|tasks|namespaces|seccomp-trace)/""#;
/// Until a subscription is greeted again.
const AGAIN: Duration = Duration::from_millis(100);
/// Between two streams. It grows until an event comes, so that nobody is Away and Back ten times a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A subscription that is in place: nothing that happens from now on is missed.
///
/// containerd answers nothing before the first event, so it would not be known when that is; thus one is made that
/// says nothing, in a namespace where nobody listens, until it comes.
pub(super) async fn subscribe(client: &Client) -> Result<Streaming<Envelope>, Status> {
    let (namespace, topic) = HELLO;
    timed(async {
        let filters = Filters { filters: vec![TOPICS.to_owned()] };
        let mut stream = std::pin::pin!(client.stream(namespace, api::SUBSCRIBE, filters));
        let mut again = interval(AGAIN);
        loop {
            tokio::select! {
                stream = &mut stream => return stream,
                _ = again.tick() => {
                    let event = Any { type_url: "google.protobuf.Empty".to_owned(), value: Vec::new() };
                    let hello = Publish { topic: topic.to_owned(), event: Some(event) };
                    // Where it fails, so does the stream.
                    let _: Result<Empty, _> = client.call(namespace, api::PUBLISH, hello).await;
                }
            }
        }
    })
    .await
}

/// A subscription to containerd's events.
pub(super) struct Watch {
    asked: Arc<Asked>,
    events: UnboundedSender<EngineEvent>,
    pause: Duration,
}

impl Watch {
    /// Where they go.
    pub fn new(asked: Arc<Asked>, events: UnboundedSender<EngineEvent>) -> Self {
        Self { asked, events, pause: SHORTEST_PAUSE }
    }

    /// Reads until the receiver is dropped.
    pub async fn run(mut self, stream: Streaming<Envelope>) {
        let receiver = self.events.clone();
        tokio::select! {
            () = receiver.closed() => {}
            () = self.follow(stream) => {}
        }
    }

    async fn follow(&mut self, mut stream: Streaming<Envelope>) {
        loop {
            let reason = match self.read(stream).await {
                Ok(()) => "it closed the connection".to_owned(),
                Err(status) => reason(&status),
            };
            self.tell(EngineEvent::Away { reason });
            stream = loop {
                sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                let subscribed = subscribe(&self.asked.client).await;
                // A namespace that came meanwhile was told to nobody.
                if let (Ok(stream), Ok(_)) = (subscribed, self.asked.namespaces().await) {
                    break stream;
                }
            };
            self.tell(EngineEvent::Back);
        }
    }

    async fn read(&mut self, mut stream: Streaming<Envelope>) -> Result<(), Status> {
        while let Some(envelope) = stream.message().await? {
            if envelope.topic == HELLO.1 || envelope.namespace == DOCKERS {
                continue;
            }
            self.pause = SHORTEST_PAUSE;
            if let Some(event) = self.event(&envelope).await {
                self.tell(event);
            }
        }
        Ok(())
    }

    /// What an event says, where it matters here.
    async fn event(&self, envelope: &Envelope) -> Option<EngineEvent> {
        let namespace = envelope.namespace.as_str();
        let id = |id: String| container_id(namespace, &id);
        match envelope.topic.as_str() {
            "/namespaces/create" => {
                self.asked.namespaces.add([read::<Named>(envelope)?.name]);
                None
            }
            "/containers/create" => self.known(namespace, read(envelope)?).await,
            "/containers/update" => self.renamed(namespace, read(envelope)?).await,
            "/containers/delete" => Some(EngineEvent::Removed { id: id(read::<Named>(envelope)?.name) }),
            "/tasks/create" | "/tasks/start" => {
                Some(EngineEvent::Started { id: id(read::<TaskEvent>(envelope)?.container_id) })
            }
            "/tasks/exit" => {
                let exit: TaskExit = read(envelope)?;
                // Else a process by exec has ended.
                (exit.id == exit.container_id).then(|| EngineEvent::Stopped { id: id(exit.container_id) })
            }
            _ => None,
        }
    }

    /// The event has no labels, in which a pod's container has its name.
    async fn known(&self, namespace: &str, event: ContainerEvent) -> Option<EngineEvent> {
        match self.asked.made(namespace, &event.id).await {
            // The description says whether one is left out for that: an event can't.
            Ok(Some(info)) if info.is_sandbox => return None,
            Ok(Some(info)) => return Some(EngineEvent::Known(Box::new(info.container))),
            Ok(None) => {}
            Err(error) => log::warn!("container {}: {error}", event.id),
        }
        // Its name is elsewhere. That it is not known would be no true answer.
        if is_id(&event.id) {
            self.asked.gone.lock().await.insert(event.id);
            return None;
        }
        let container = Container {
            engine: super::NAME.to_owned(),
            engine_version: self.asked.version.clone(),
            id: container_id(namespace, &event.id),
            name: event.id,
            image: Some(event.image).filter(|image| !image.is_empty()),
            ..Container::default()
        };
        Some(EngineEvent::Known(Box::new(container)))
    }

    /// nerdctl's names are labels.
    async fn renamed(&self, namespace: &str, event: ContainerEvent) -> Option<EngineEvent> {
        let info = self.asked.made(namespace, &event.id).await.ok()??;
        let container = info.container;
        let is_named = container.labels.contains_key(super::describe::NERDCTL);
        is_named.then_some(EngineEvent::Renamed { id: container.id, name: container.name })
    }

    fn tell(&self, event: EngineEvent) {
        // A dropped receiver ends `run`.
        let _ = self.events.send(event);
    }
}

fn read<T: Message + Default>(envelope: &Envelope) -> Option<T> {
    let event = T::decode(envelope.event.as_ref()?.value.as_slice());
    event.inspect_err(|error| log::warn!("an event of {}: {error}", envelope.topic)).ok()
}

/// As [`subscribe`], for the first time.
pub(super) async fn first(asked: &Asked) -> Result<Streaming<Envelope>, EngineError> {
    let stream = subscribe(&asked.client).await.map_err(|status| asked.client.fault(&status))?;
    asked.namespaces().await?;
    Ok(stream)
}
