//! What tracing costs while we watch: the kernel measures its programs' run time, for a part of the time only, because
//! that makes each run slower.

use std::time::Instant;

use crate::{cli::session::Session, live::model::Cost};

/// Measures from one tick to the next.
#[derive(Debug, Default)]
pub struct CostMeter {
    before: Option<(Instant, crate::tracer::Cost)>,
    on: Option<std::os::fd::OwnedFd>,
}

impl CostMeter {
    /// The cost since it was asked last.
    pub fn measure(&mut self, session: &Session) -> Option<Cost> {
        if self.on.is_none() {
            self.on = crate::tracer::measure();
        }
        let now = (Instant::now(), session.cost().ok()?);
        let (at, before) = self.before.replace(now)?;
        let time = now.1.time.saturating_sub(before.time).as_secs_f64();
        let runs = now.1.runs.saturating_sub(before.runs);
        let share = time / at.elapsed().as_secs_f64();
        Some(Cost { share, run: if runs == 0 { 0.0 } else { time * 1e9 / runs as f64 } })
    }
}
