//! Docker's events as ours (and Podman's, in its words), without a gap: the stream is asked for *since* a moment, which Docker fills
//! from the 256 events that it keeps (moby, daemon/events; Podman has a log), and what comes twice is left out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

use super::describe::Facts;
use super::reason;
use crate::engine::EngineEvent;

/// As many as Docker can tell again.
const REMEMBERED: usize = 256;
/// How far back a new stream begins: Docker takes an event's time before it puts it in order.
const OVERLAP: i64 = NANOSECONDS;
/// In a second.
const NANOSECONDS: i64 = 1_000_000_000;
/// Between two streams. It grows until an event comes: an engine that answers a ping, and gives no
/// stream, would be Away and Back ten times a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A subscription to Docker's events.
pub(in crate::engine) struct Watch {
    client: bollard::Docker,
    facts: Arc<Facts>,
    events: UnboundedSender<EngineEvent>,
    /// Nothing before this is told. In nanoseconds since 1970.
    start: i64,
    /// The latest event's time, likewise.
    latest: i64,
    told: VecDeque<(i64, EngineEvent)>,
    /// How long to wait before the next stream.
    pause: Duration,
}

impl Watch {
    /// A subscription to all that happens from now on.
    pub fn new(client: bollard::Docker, facts: Arc<Facts>, events: UnboundedSender<EngineEvent>) -> Self {
        let start = now();
        Self { client, facts, events, start, latest: start, told: VecDeque::new(), pause: SHORTEST_PAUSE }
    }

    /// Reads until the receiver is dropped.
    pub async fn run(mut self) {
        let receiver = self.events.clone();
        tokio::select! {
            () = receiver.closed() => {}
            () = self.follow() => {}
        }
    }

    /// Reads the stream, and asks for it again whenever it ends, until nobody listens.
    async fn follow(&mut self) {
        loop {
            let reason = match self.read().await {
                Ok(()) => "it closed the connection".to_owned(),
                Err(error) => {
                    if matches!(error, Error::JsonDataError { .. } | Error::JsonSerdeError { .. }) {
                        // It would come again and again.
                        self.start = now();
                    }
                    reason(&error)
                }
            };
            self.tell(EngineEvent::Away { reason });
            loop {
                sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                if matches!(timeout(super::CONNECT, self.client.ping()).await, Ok(Ok(_))) {
                    break;
                }
            }
            self.tell(EngineEvent::Back);
        }
    }

    async fn read(&mut self) -> Result<(), Error> {
        let since = self.start.max(self.latest.saturating_sub(OVERLAP));
        let options = EventsOptions {
            since: Some(format!("{}.{:09}", since / NANOSECONDS, since % NANOSECONDS)),
            filters: Some([("type".to_owned(), vec!["container".to_owned()])].into()),
            ..EventsOptions::default()
        };
        let client = self.client.clone();
        let mut stream = std::pin::pin!(client.events(Some(options)));
        while let Some(message) = stream.next().await {
            let message = message?;
            self.pause = SHORTEST_PAUSE;
            let time = message.time_nano.unwrap_or_else(now);
            if let Some(event) = event(&self.facts, message) {
                self.tell_once(time, event);
            }
        }
        Ok(())
    }

    fn tell_once(&mut self, time: i64, event: EngineEvent) {
        let key = (time, event);
        if self.told.contains(&key) {
            return;
        }
        self.latest = self.latest.max(time);
        self.told.push_back(key.clone());
        if self.told.len() > REMEMBERED {
            self.told.pop_front();
        }
        self.tell(key.1);
    }

    fn tell(&self, event: EngineEvent) {
        // A dropped receiver ends `run`.
        let _ = self.events.send(event);
    }
}

/// What a message says, where it matters here: the others are `exec_start`, `health_status`, `attach` …
pub(in crate::engine) fn event(facts: &Facts, message: EventMessage) -> Option<EngineEvent> {
    let actor = message.actor?;
    let (id, mut attributes) = (actor.id?, actor.attributes.unwrap_or_default());
    match message.action?.as_str() {
        "create" => Some(EngineEvent::Known(Box::new(facts.created(id, attributes)))),
        "rename" => {
            let name = attributes.remove("name")?;
            Some(EngineEvent::Renamed { id, name: name.trim_start_matches('/').to_owned() })
        }
        "start" => Some(EngineEvent::Started { id }),
        "die" | "died" => Some(EngineEvent::Stopped { id }),
        "destroy" | "remove" => Some(EngineEvent::Removed { id }),
        _ => None,
    }
}

fn now() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
