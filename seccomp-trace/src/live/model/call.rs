//! One syscall of one container.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::per_second;
use crate::recording::{Denial, DeniedBy, Origin};

/// Seconds of which the rate is kept.
pub const HISTORY: usize = 32;

/// Who made a call first, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// When.
    pub time: Timestamp,
    /// The thread's name.
    pub comm: String,
}

/// One syscall, made or denied or both.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whether it was made; else it was only denied.
    pub is_made: bool,
    /// When first, and by whom; none where the news of it was lost.
    pub first: Option<First>,
    /// When it was made or denied first, or when that was found out.
    pub found: Timestamp,
    /// Who has made it; empty where only the end tells.
    pub origins: BTreeSet<Origin>,
    /// How often; none where it is not counted.
    pub count: Option<u64>,
    /// Calls a second now.
    pub rate: u64,
    /// Calls a second in the last seconds, the newest last.
    pub history: [u32; HISTORY],
    /// What filters have answered.
    pub denials: Vec<Denial>,
    /// How often at the last sample.
    sampled: u64,
}

impl Call {
    pub(super) fn new(found: Timestamp) -> Self {
        Self {
            is_made: false,
            first: None,
            found,
            origins: BTreeSet::new(),
            count: None,
            rate: 0,
            history: [0; HISTORY],
            denials: Vec::new(),
            sampled: 0,
        }
    }

    /// Is it the runtime's alone?
    #[must_use]
    pub fn is_runtimes_only(&self) -> bool {
        self.origins.iter().eq([&Origin::Runtime])
    }

    /// Has a filter denied it? What one hands to a supervisor is answered, and not denied.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.denials.iter().any(|denial| !denial.supervised)
    }

    /// Who has answered it, with what, and how often: of several, who matters most.
    #[must_use]
    pub fn answered(&self) -> Option<(DeniedBy, String, u64)> {
        let by = self.denials.iter().map(Denial::by).min()?;
        let its = || self.denials.iter().filter(|denial| denial.by() == by);
        let answers: Vec<_> = its().map(|denial| denial.action.to_string()).collect();
        Some((by, answers.join(", "), its().map(|denial| denial.count).sum()))
    }

    /// True the first time.
    pub(super) fn seen(&mut self, first: Option<First>, origin: Option<Origin>) -> bool {
        self.origins.extend(origin);
        if let Some(first) = first
            && self.first.as_ref().is_none_or(|old| first.time < old.time)
        {
            self.found = if self.is_made { self.found.min(first.time) } else { first.time };
            self.first = Some(first);
        }
        !std::mem::replace(&mut self.is_made, true)
    }

    /// True where no filter has given this answer before.
    pub(super) fn denied(&mut self, denial: Denial) -> bool {
        let same = |old: &&mut Denial| (old.action, old.by()) == (denial.action, denial.by());
        match self.denials.iter_mut().find(same) {
            Some(old) => {
                *old = denial;
                false
            }
            None => {
                self.denials.push(denial);
                true
            }
        }
    }

    /// Made so often by now. A sample makes a rate: over so many seconds since the last one, where there was one.
    pub(super) fn count(&mut self, count: u64, sample: Option<Option<f64>>) {
        self.count = Some(count);
        let Some(seconds) = sample else { return };
        self.rate = per_second(count.saturating_sub(self.sampled), seconds);
        self.sampled = count;
        self.history.rotate_left(1);
        if let Some(newest) = self.history.last_mut() {
            *newest = u32::try_from(self.rate).unwrap_or(u32::MAX);
        }
    }

    /// Nobody counts it any more.
    pub(super) fn uncount(&mut self) {
        (self.count, self.rate, self.sampled, self.history) = (None, 0, 0, [0; HISTORY]);
    }
}
