//! The options of the commands that trace: run and record.

use std::time::Duration;

use clap::Args;

use super::{profile_options::ProfileOptions, watch::WatchOptions};
use crate::tracer;

/// How to trace, and what the result is to be.
#[derive(Clone, Debug, Args)]
pub struct TraceOptions {
    /// Stop after this time, such as 30s or 5m; a COMMAND that still runs then gets SIGTERM
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Fail also where the recording may be less than exact: attached late, an estimated boundary, lost
    /// times
    #[arg(long)]
    pub strict: bool,
    /// Accept a recording that has certainly lost syscalls
    #[arg(long, conflicts_with = "strict")]
    pub allow_incomplete: bool,
    /// Don't look for what filters deny
    #[arg(long)]
    pub no_denials: bool,
    /// The ring buffer's size in bytes, a power of two; a small one loses times of first calls, never
    /// a syscall
    #[arg(long, value_name = "BYTES", default_value_t = tracer::Options::RING_BYTES, value_parser = parse_ring,
          hide_short_help = true)]
    pub ring_buffer: u32,
    #[command(flatten)]
    pub watch: WatchOptions,
    #[command(flatten)]
    pub profile: ProfileOptions,
}

impl TraceOptions {
    /// How large the kernel side is to be.
    pub fn tracer(&self, max_containers: u32, track_new: bool) -> tracer::Options {
        tracer::Options {
            max_containers,
            ring_bytes: self.ring_buffer,
            track_new,
            denials: !self.no_denials,
            watch: self.watch.watch,
        }
    }
}

fn parse_duration(given: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration =
        given.parse().map_err(|_| "expected a time such as 30s, 5m or 1h30m")?;
    Duration::try_from(duration).map_err(|_| "expected a time that is not negative".to_owned())
}

fn parse_ring(given: &str) -> Result<u32, String> {
    let bytes: u32 = given.parse().map_err(|_| "expected a number of bytes")?;
    let is_possible = bytes.is_power_of_two() && (4096..=1 << 30).contains(&bytes);
    if is_possible { Ok(bytes) } else { Err("expected a power of two from 4096 to 1073741824".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_checked() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert!(parse_duration("-5s").is_err());
        assert!(parse_duration("soon").is_err());
        assert_eq!(parse_ring("4096"), Ok(4096));
        assert!(parse_ring("5000").is_err());
        assert!(parse_ring("1024").is_err());
    }
}
