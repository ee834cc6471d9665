//! When an engine is away, and when it can be relied on again: said once each, however often it is tried meanwhile.

use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until};

use super::EngineEvent;

/// Between two attempts. It grows with each trouble.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Without trouble for this long, and for as long as the pause by now, it answers again.
const CALM: Duration = Duration::from_secs(1);

/// An engine's outages, one after the other.
#[derive(Debug)]
pub(super) struct Outage {
    events: UnboundedSender<EngineEvent>,
    is_open: bool,
    pause: Duration,
    last: Option<Instant>,
}

impl Outage {
    /// None yet.
    pub fn new(events: UnboundedSender<EngineEvent>) -> Self {
        Self { events, is_open: false, pause: SHORTEST_PAUSE, last: None }
    }

    /// It is away, or what it says can't be read: told where that is new.
    pub fn trouble(&mut self, reason: String) {
        let is_recent = self.last.is_some_and(|last| last.elapsed() < 2 * LONGEST_PAUSE);
        self.pause = if is_recent { (self.pause * 2).min(LONGEST_PAUSE) } else { SHORTEST_PAUSE };
        self.last = Some(Instant::now());
        if !std::mem::replace(&mut self.is_open, true) {
            // A dropped receiver wants to know nothing more.
            let _ = self.events.send(EngineEvent::Disconnected { reason });
        }
    }

    /// How long to wait before the next attempt.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Until it has answered without trouble for long enough; for ever where it is not away.
    pub async fn calm(&self) {
        match self.last.filter(|_| self.is_open) {
            Some(last) => sleep_until(last + self.pause + self.pause.max(CALM)).await,
            None => pending().await,
        }
    }

    /// It answers again.
    pub fn end(&mut self) {
        self.is_open = false;
        let _ = self.events.send(EngineEvent::Reconnected);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn troubles_one_after_the_other_are_one_outage() {
        let (sender, mut events) = unbounded_channel();
        let mut outage = Outage::new(sender);
        for number in 0..4 {
            outage.trouble(number.to_string());
            tokio::select! {
                () = outage.calm() => panic!("calm after {number}"),
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
        assert_eq!(outage.pause(), 8 * SHORTEST_PAUSE);
        outage.calm().await;
        outage.end();
        outage.trouble("again".to_owned());
        // It has not been well for long.
        assert_eq!(outage.pause(), 16 * SHORTEST_PAUSE);
        drop(outage);
        let away = |reason: &str| EngineEvent::Disconnected { reason: reason.to_owned() };
        let mut told = Vec::new();
        while let Some(event) = events.recv().await {
            told.push(event);
        }
        assert_eq!(told, [away("0"), EngineEvent::Reconnected, away("again")]);
    }
}
