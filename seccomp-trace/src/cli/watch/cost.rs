//! What tracing costs while we watch. The kernel measures its programs for a twentieth of the time only: measured, each run
//! takes about twice as long.

use std::{os::fd::OwnedFd, time::Duration};

use tokio::time::Instant;

use crate::{cli::session::Session, live::model::Cost, tracer};

/// How long it is measured, once a second.
const WINDOW: Duration = Duration::from_millis(50);

/// Measures from time to time.
#[derive(Debug, Default)]
pub struct CostMeter {
    running: Option<Window>,
    last: Option<Cost>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    before: tracer::Cost,
    _measured: OwnedFd,
}

impl CostMeter {
    /// Begins to measure.
    pub fn begin(&mut self, session: &Session) {
        let measured = tracer::measure();
        self.running = measured.and_then(|measured| {
            let before = session.cost().ok()?;
            Some(Window { since: Instant::now(), before, _measured: measured })
        });
    }

    /// When [`Self::end`] is to be called.
    pub fn due(&self) -> Option<Instant> {
        self.running.as_ref().map(|window| window.since + WINDOW)
    }

    /// Ends it.
    pub fn end(&mut self, session: &Session) {
        let Some(Window { since, before, .. }) = self.running.take() else { return };
        let elapsed = since.elapsed().as_secs_f64();
        self.last = session.cost().ok().map(|now| {
            let time = now.time.saturating_sub(before.time).as_secs_f64();
            let runs = now.runs.saturating_sub(before.runs);
            Cost { share: time / elapsed, run: if runs == 0 { 0.0 } else { time * 1e9 / runs as f64 } }
        });
    }

    /// What was measured last.
    pub fn last(&self) -> Option<Cost> {
        self.last
    }
}
