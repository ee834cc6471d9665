//! The kernel program's clock against the wall's.

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// Turns `CLOCK_BOOTTIME`, in which the kernel program counts, into wall time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    boot: Timestamp,
}

impl Clock {
    /// Compares the two clocks now.
    #[must_use]
    pub fn now() -> Self {
        let since_boot = clock_gettime(ClockId::Boottime);
        let since_boot =
            SignedDuration::new(since_boot.tv_sec, i32::try_from(since_boot.tv_nsec).unwrap_or(0));
        let now = Timestamp::now();
        Self { boot: now.checked_sub(since_boot).unwrap_or(now) }
    }

    /// `nanoseconds` since the machine started, as wall time.
    #[must_use]
    pub fn wall(self, nanoseconds: u64) -> Timestamp {
        let since_boot = SignedDuration::from_nanos(i64::try_from(nanoseconds).unwrap_or(i64::MAX));
        self.boot.checked_add(since_boot).unwrap_or(self.boot)
    }
}
