//! Counting what test programs say: Rust's own harness and libtest-mimic, which prints nearly the same.

use anyhow::{Context as _, Result};
use std::fmt::Display;
use std::io::Write;

/// What came out, over all suites.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Tests that were skipped, and why.
    skips: Vec<String>,
    /// Tests that failed, and suites that didn't get to their end.
    failures: Vec<String>,
}

impl Tally {
    /// Takes one line of a suite's output. Returns whether it held the totals of a test program.
    pub fn count(&mut self, suite: impl Display, line: &str) -> bool {
        if let Some(totals) = line.strip_prefix("test result: ") {
            let number = |what| {
                totals
                    .split([';', '.'])
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok())
                    .unwrap_or(0)
            };
            self.passed += number("passed");
            self.failed += number("failed");
            self.skipped += number("ignored");
            return true;
        }
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        else {
            return false;
        };
        let name = name.trim();
        match outcome.strip_prefix("ignored") {
            Some("") => self.skips.push(format!("{suite}: {name}: it is marked as ignored")),
            // libtest-mimic's reasons, which are in brackets, come by the report, where nothing can garble them.
            Some(reason) => {
                if let Some(reason) = reason.strip_prefix(", ") {
                    self.skips.push(format!("{suite}: {name}: {reason}"));
                }
            }
            None if outcome.starts_with("FAILED") => self.failures.push(format!("{suite}: {name}")),
            None => {}
        }
        false
    }

    /// Takes the report of the harness in `tests/support`: one JSON object a line, with `test` and `reason`.
    pub fn add_skip_report(&mut self, suite: impl Display, report: &str) -> Result<()> {
        for line in report.lines() {
            let skip: serde_json::Value = serde_json::from_str(line)
                .with_context(|| format!("the {suite} tests' report of skips has a broken line: {line}"))?;
            let field =
                |name: &str| skip.get(name).and_then(|value| value.as_str()).unwrap_or("?").to_owned();
            self.skips.push(format!("{suite}: {}: {}", field("test"), field("reason")));
        }
        Ok(())
    }

    /// Counts a failure that is no single test's.
    pub fn trouble(&mut self, suite: impl Display, what: &str) {
        self.failed += 1;
        self.failures.push(format!("{suite}: {what}"));
    }

    /// Adds another one's.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.skips.extend(other.skips);
        self.failures.extend(other.failures);
    }

    /// How many passed, failed and were skipped so far.
    pub fn totals(&self) -> [u64; 3] {
        [self.passed, self.failed, self.skipped]
    }

    /// How many failed so far.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.failed == 0
    }

    /// Prints what was skipped and what failed, and the totals alone on the last line.
    pub fn print(&self, out: &mut dyn Write) -> Result<()> {
        let mut text = String::from("\n");
        for skip in &self.skips {
            text += &format!("skipped: {skip}\n");
        }
        let unnamed = self.skipped.saturating_sub(self.skips.len() as u64);
        if unnamed > 0 {
            text += &format!("skipped: {unnamed} more, for reasons in the output above\n");
        }
        for failure in &self.failures {
            text += &format!("failed: {failure}\n");
        }
        text += &format!("{} passed, {} failed, {} skipped\n", self.passed, self.failed, self.skipped);
        out.write_all(text.as_bytes()).context("cannot write to stdout")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::suite::Suite, Tally};

    #[test]
    fn both_harnesses_are_counted_and_every_skip_is_named() {
        let mut tally = Tally::default();
        let libtest = "running 3 tests\ntest a::b ... ok\ntest c ... ignored, no time\ntest d ... FAILED\n\n\
            test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s";
        let mimic = "test long  ... ok\ntest short ... ignored (docker: it does not answer)\n\n\
            test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let totals = libtest.lines().filter(|line| tally.count(Suite::Unit, line)).count()
            + mimic.lines().filter(|line| tally.count(Suite::Engines, line)).count();
        assert_eq!(totals, 2);
        let report = r#"{"test":"short","reason":"docker: it does not answer"}"#;
        tally.add_skip_report(Suite::Engines, report).unwrap();
        let mut out = Vec::new();
        tally.print(&mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap().trim(), @"
        skipped: unit: c: no time
        skipped: engines: short: docker: it does not answer
        failed: unit: d
        2 passed, 1 failed, 2 skipped
        ");
        assert!(!tally.is_good());
    }

    #[test]
    fn a_suite_that_dies_is_a_failure() {
        let mut tally = Tally::default();
        tally.trouble(Suite::Kernel, "it ended with signal 9");
        assert_eq!((tally.failed(), tally.is_good()), (1, false));
    }

    #[test]
    fn a_broken_report_is_not_swallowed() {
        assert!(Tally::default().add_skip_report(Suite::Kernel, "{\"test\":").is_err());
    }
}
