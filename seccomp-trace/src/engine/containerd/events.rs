//! containerd's events as ours. The stream has no history: after it broke the containers have to be listed again.

use std::sync::Arc;
use std::time::Duration;

use prost::{DecodeError, Message};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{interval, sleep};
use tonic::{Status, Streaming};

use super::api::{self, Any, ContainerEvent, Empty, Envelope, Filters, Named, Publish, TaskEvent, TaskExit};
use super::ask::Asked;
use super::cgroups::{DOCKERS, container_id};
use super::client::{Client, reason, timed};
use crate::engine::cgroup_path::is_id;
use crate::engine::outage::Outage;
use crate::engine::{EngineError, EngineEvent};
use crate::recording::Container;

/// Our own event, in a namespace of its own, which says nothing: see [`subscribe`].
const HELLO: (&str, &str) = ("seccomp-trace", "/seccomp-trace/watch");
/// What is asked for; what there is beside is of images, snapshots and content.
const TOPICS: &str = r#"topic~="^/(containers|tasks|namespaces|seccomp-trace)/""#;
/// Until a subscription is greeted again.
const AGAIN: Duration = Duration::from_millis(100);
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
    outage: Outage,
}

impl Watch {
    /// Where they go.
    pub fn new(asked: Arc<Asked>, events: UnboundedSender<EngineEvent>) -> Self {
        Self { asked, outage: Outage::new(events.clone()), events }
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
            let ended = self.read(stream).await;
            self.outage.trouble(
                ended.map_or_else(|status| reason(&status), |()| "it closed the connection".to_owned()),
            );
            stream = loop {
                sleep(self.outage.pause()).await;
                let subscribed = subscribe(&self.asked.client).await;
                // A namespace that came meanwhile was told to nobody.
                let trouble = match (subscribed, self.asked.namespaces().await) {
                    (Ok(stream), Ok(_)) => break stream,
                    (Err(status), _) => reason(&status),
                    (_, Err(error)) => error.to_string(),
                };
                self.outage.trouble(trouble);
            };
        }
    }

    async fn read(&mut self, mut stream: Streaming<Envelope>) -> Result<(), Status> {
        loop {
            let envelope = tokio::select! {
                envelope = stream.message() => envelope?,
                () = self.outage.calm() => {
                    self.outage.end();
                    continue;
                }
            };
            let Some(envelope) = envelope else { return Ok(()) };
            if envelope.topic == HELLO.1 || envelope.namespace == DOCKERS {
                continue;
            }
            match self.event(&envelope).await {
                Ok(Some(event)) => self.tell(event),
                Ok(None) => {}
                // What it was about is in the list that is asked for after it.
                Err(error) => {
                    self.outage.trouble(format!("an event of it can't be read: {}: {error}", envelope.topic))
                }
            }
        }
    }

    /// What an event says, where it matters here.
    async fn event(&self, envelope: &Envelope) -> Result<Option<EngineEvent>, DecodeError> {
        let namespace = envelope.namespace.as_str();
        let id = |id: String| container_id(namespace, &id);
        Ok(match envelope.topic.as_str() {
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
        })
    }

    /// The event has no labels, in which a pod's container has its name.
    async fn known(&self, namespace: &str, event: ContainerEvent) -> Option<EngineEvent> {
        match self.asked.made(namespace, &event.id).await {
            // The description says whether one is left out for that: an event can't.
            Ok(Some(info)) if info.is_sandbox => return None,
            Ok(Some(info)) => return Some(EngineEvent::Created(Box::new(info.container))),
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
        Some(EngineEvent::Created(Box::new(container)))
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

fn read<T: Message + Default>(envelope: &Envelope) -> Result<T, DecodeError> {
    T::decode(envelope.event.as_ref().map_or(&[][..], |event| event.value.as_slice()))
}

/// As [`subscribe`], for the first time.
pub(super) async fn first(asked: &Asked) -> Result<Streaming<Envelope>, EngineError> {
    let stream = subscribe(&asked.client).await.map_err(|status| asked.client.fault(&status))?;
    asked.namespaces().await?;
    Ok(stream)
}
