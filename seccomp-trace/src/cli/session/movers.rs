//! Processes that moved into a container's cgroup, or out of it: how many, and who moved them.

use std::{collections::BTreeSet, fmt};

use seccomp_trace_common::COMM_LEN;

use crate::{report::text::sanitise, tracer::text};

/// So many are named.
const NAMED: usize = 8;

/// Displays as `2: conmon, sh`.
#[derive(Clone, Debug, Default)]
pub struct Movers {
    /// How many there were.
    pub count: u64,
    /// Thread names, as far as there was news; never more than [`NAMED`].
    names: BTreeSet<String>,
}

impl Movers {
    /// One of them has this thread name.
    pub fn name(&mut self, name: &[u8; COMM_LEN]) {
        self.keep(&text(name));
    }

    /// One more, which runs.
    pub fn add_process(&mut self, pid: i32) {
        if let Ok(name) = std::fs::read_to_string(format!("/proc/{pid}/comm")) {
            self.count += 1;
            self.keep(name.trim_end());
        }
    }

    fn keep(&mut self, name: &str) {
        if self.names.len() < NAMED {
            self.names.insert(sanitise(name));
        }
    }
}

impl fmt::Display for Movers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.count)?;
        for (place, name) in self.names.iter().enumerate() {
            write!(formatter, "{} {name}", if place == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn movers(names: &[&[u8]]) -> String {
        let mut movers = Movers { count: names.len() as u64, ..Movers::default() };
        for name in names {
            let mut bytes = [0; COMM_LEN];
            bytes[..name.len()].copy_from_slice(name);
            movers.name(&bytes);
        }
        movers.to_string()
    }

    #[test]
    fn they_are_counted_and_eight_are_named() {
        assert_eq!(movers(&[]), "0");
        assert_eq!(movers(&[b"sh", b"sh", b"conmon"]), "3: conmon, sh");
        let many: [&[u8]; 9] = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"i"];
        assert_eq!(movers(&many), "9: a, b, c, d, e, f, g, h");
    }

    #[test]
    fn a_hostile_name_writes_nothing_to_the_terminal() {
        assert!(!movers(&[b"\x1b[31mred"]).contains('\x1b'));
    }

    #[test]
    fn who_runs_is_named_and_who_does_not_is_not_counted() {
        let mut movers = Movers::default();
        movers.add_process(std::process::id().cast_signed());
        movers.add_process(-1);
        assert_eq!(movers.count, 1);
        assert!(movers.to_string().starts_with("1: "));
    }
}
