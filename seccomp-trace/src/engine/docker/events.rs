//! Docker's events as ours (and Podman's, in its words), without a gap: the stream is asked for *since* a moment, which Docker fills
//! from the 256 events that it keeps (moby, daemon/events; Podman has a log), and what comes twice is left out.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use bollard::errors::Error;
use bollard::models::EventMessage;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

use super::describe::Facts;
use super::{Api, reason};
use crate::engine::EngineEvent;
use crate::engine::http::Lines;
use crate::engine::outage::Outage;

/// As many as Docker can tell again.
const REMEMBERED: usize = 256;
/// How far back a new stream begins: Docker takes an event's time before it puts it in order.
const OVERLAP: i64 = NANOSECONDS;
/// In a second.
const NANOSECONDS: i64 = 1_000_000_000;
/// `{"type":["container"]}`, as it stands in an address.
const CONTAINERS: &str = "%7B%22type%22%3A%5B%22container%22%5D%7D";

/// A subscription to Docker's events.
pub(in crate::engine) struct Watch {
    api: Api,
    facts: Arc<Facts>,
    events: UnboundedSender<EngineEvent>,
    /// Nothing before this is told. In nanoseconds since 1970.
    start: i64,
    /// The latest event's time, likewise.
    latest: i64,
    told: VecDeque<(i64, EngineEvent)>,
    outage: Outage,
}

impl Watch {
    /// A subscription to all that happens from now on.
    pub fn new(api: Api, facts: Arc<Facts>, events: UnboundedSender<EngineEvent>) -> Self {
        let (start, outage) = (now(), Outage::new(events.clone()));
        Self { api, facts, events, start, latest: start, told: VecDeque::new(), outage }
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
                Err(error) => reason(&error),
            };
            self.outage.trouble(reason);
            loop {
                sleep(self.outage.pause()).await;
                match timeout(super::CONNECT, self.api.client.ping()).await {
                    Ok(Ok(_)) => break,
                    Ok(Err(error)) => self.outage.trouble(super::reason(&error)),
                    Err(_) => self.outage.trouble("no answer in time".to_owned()),
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), Error> {
        let since = self.start.max(self.latest.saturating_sub(OVERLAP));
        let since = format!("{}.{:09}", since / NANOSECONDS, since % NANOSECONDS);
        let path = self.api.path(&format!("events?since={since}&filters={CONTAINERS}"));
        let place = self.api.place.clone();
        // The answer may begin with the first event.
        let mut opening = pin!(Lines::get(&place, &path));
        let mut lines = loop {
            tokio::select! {
                lines = &mut opening => break lines?,
                () = self.outage.calm() => self.outage.end(),
            }
        };
        loop {
            let line = tokio::select! {
                line = lines.next() => line?,
                () = self.outage.calm() => {
                    self.outage.end();
                    continue;
                }
            };
            let Some(line) = line else { return Ok(()) };
            match serde_json::from_slice::<EventMessage>(&line) {
                Ok(message) => {
                    let time = message.time_nano.unwrap_or_else(now);
                    if let Some(event) = event(&self.facts, message) {
                        self.tell_once(time, event);
                    }
                }
                Err(error) => {
                    // It would come again and again; and what it was about is in the list that is asked for after it.
                    self.start = now();
                    self.outage.trouble(format!("an event of it can't be read: {error}"));
                }
            }
        }
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
        "create" => Some(EngineEvent::Created(Box::new(facts.created(id, attributes)))),
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
