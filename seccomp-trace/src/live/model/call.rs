//! One syscall of one container.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::per_second;
use crate::recording::{Denial, Origin};

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
        }
    }

    /// Is it the runtime's alone?
    #[must_use]
    pub fn is_runtimes_only(&self) -> bool {
        self.origins.iter().eq([&Origin::Runtime])
    }

    /// How often it was denied.
    #[must_use]
    pub fn times_denied(&self) -> u64 {
        self.denials.iter().map(|denial| denial.count).sum()
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
        let same = |old: &&mut Denial| (old.answer, old.own_filter) == (denial.answer, denial.own_filter);
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

    pub(super) fn count(&mut self, count: u64, seconds: Option<f64>) {
        self.rate = per_second(count.saturating_sub(self.count.unwrap_or(0)), seconds);
        self.count = Some(count);
        self.history.rotate_left(1);
        if let Some(newest) = self.history.last_mut() {
            *newest = u32::try_from(self.rate).unwrap_or(u32::MAX);
        }
    }
}
