//! Counting what test programs say: Rust's own harness and libtest-mimic, which prints nearly the same.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::fmt::Display;
use std::io::Write;

/// A run with more flaky tests than this has failed: one may be the machine's fault, three are not.
const MOST_FLAKY: usize = 2;
/// More failed tests than this are not run again: that is no flake.
const MOST_AGAIN: usize = 5;
/// How many of the slowest tests are named.
const SLOWEST: usize = 10;

/// What came out, over all suites.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Tests of the full tier, which this run leaves out.
    left_out: u64,
    /// Tests that were skipped, and why.
    skips: Vec<String>,
    /// Tests that failed, and suites that didn't get to their end.
    failures: Vec<Failure>,
    /// Tests that failed, and passed when they were run again alone.
    flaky: Vec<String>,
    /// How long tests took, in seconds.
    times: Vec<(f64, String)>,
}

#[derive(Debug)]
struct Failure {
    suite: String,
    /// A test, where it is one's.
    test: Option<String>,
    what: String,
}

/// A line of the harness' report in `tests/support`.
#[derive(Deserialize)]
struct Report {
    test: String,
    reason: Option<String>,
    seconds: Option<f64>,
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
            // What a harness marks so is of the full tier.
            Some("") => self.left_out += 1,
            // libtest-mimic's reasons, which are in brackets, come by the report, where nothing can garble them.
            Some(reason) => {
                if let Some(reason) = reason.strip_prefix(", ") {
                    self.skips.push(format!("{suite}: {name}: {reason}"));
                }
            }
            None if outcome.starts_with("FAILED") => self.failures.push(Failure {
                suite: suite.to_string(),
                test: Some(name.to_owned()),
                what: name.to_owned(),
            }),
            None => {}
        }
        false
    }

    /// Takes the report of the harness in `tests/support`.
    pub fn add_report(&mut self, suite: impl Display, report: &str) -> Result<()> {
        for line in report.lines() {
            let Report { test, reason, seconds } = serde_json::from_str(line)
                .with_context(|| format!("the {suite} tests' report has a broken line: {line}"))?;
            self.skips.extend(reason.map(|reason| format!("{suite}: {test}: {reason}")));
            self.times.extend(seconds.map(|seconds| (seconds, format!("{suite}: {test}"))));
        }
        Ok(())
    }

    /// Counts a failure that is no single test's.
    pub fn trouble(&mut self, suite: impl Display, what: &str) {
        self.failed += 1;
        self.failures.push(Failure { suite: suite.to_string(), test: None, what: what.to_owned() });
    }

    /// Counts a task that is a test by itself.
    pub fn count_task(&mut self, task: &str, has_passed: bool) {
        if has_passed {
            self.passed += 1;
        } else {
            self.trouble(task, "it failed; its output says why");
        }
    }

    /// The tests of a suite that failed, where they are few enough to be flaky.
    pub fn failed_tests(&self, suite: impl Display) -> Vec<String> {
        let suite = suite.to_string();
        let failed: Vec<_> = self.failures.iter().filter(|failure| failure.suite == suite).collect();
        let tests: Vec<_> = failed.iter().filter_map(|failure| failure.test.clone()).collect();
        if tests.len() == failed.len() && tests.len() <= MOST_AGAIN { tests } else { Vec::new() }
    }

    /// Takes what came of a failed test that was run again alone.
    pub fn take_again(&mut self, suite: impl Display, test: &str, again: &Self) {
        if again.failed > 0 || again.passed == 0 {
            return;
        }
        let suite = suite.to_string();
        let is_it = |failure: &Failure| failure.suite == suite && failure.test.as_deref() == Some(test);
        self.failures.retain(|failure| !is_it(failure));
        self.failed = self.failed.saturating_sub(1);
        self.flaky.push(format!("{suite}: {test}"));
    }

    /// Adds another one's.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.left_out += other.left_out;
        self.skips.extend(other.skips);
        self.failures.extend(other.failures);
        self.flaky.extend(other.flaky);
        self.times.extend(other.times);
    }

    /// How many passed, failed and were skipped so far.
    pub fn totals(&self) -> [u64; 3] {
        [self.passed, self.failed, self.skipped.saturating_sub(self.left_out)]
    }

    /// How many failed so far.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Whether nothing failed, and no more was flaky than may be.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.flaky.len() <= MOST_FLAKY
    }

    /// Whether nothing failed, at once.
    pub fn is_steady(&self) -> bool {
        self.failed == 0 && self.flaky.is_empty()
    }

    /// The totals alone.
    pub fn summary(&self) -> String {
        let [passed, failed, skipped] = self.totals();
        let flaky = match self.flaky.len() {
            0 => String::new(),
            count => format!(", {count} flaky"),
        };
        format!("{passed} passed, {failed} failed{flaky}, {skipped} skipped")
    }

    /// Prints the slowest tests, what was left out, skipped, flaky and what failed, and the totals alone on the last line.
    pub fn print(&self, out: &mut dyn Write) -> Result<()> {
        let mut text = String::from("\n");
        let mut times: Vec<_> = self.times.iter().collect();
        times.sort_by(|one, other| other.0.total_cmp(&one.0));
        for (seconds, test) in times.into_iter().take(SLOWEST) {
            text += &format!("slow: {seconds:.1} s: {test}\n");
        }
        for skip in &self.skips {
            text += &format!("skipped: {skip}\n");
        }
        let [_, _, skipped] = self.totals();
        let unnamed = skipped.saturating_sub(self.skips.len() as u64);
        if unnamed > 0 {
            text += &format!("skipped: {unnamed} more, for reasons in the output above\n");
        }
        if self.left_out > 0 {
            text += &format!("left to the full tier: {} tests\n", self.left_out);
        }
        for test in &self.flaky {
            text += &format!("flaky: {test}: failed, and passed when it was run again alone\n");
        }
        if self.flaky.len() > MOST_FLAKY {
            text += &format!("failed: {} tests are flaky, and {MOST_FLAKY} may be\n", self.flaky.len());
        }
        for Failure { suite, what, .. } in &self.failures {
            text += &format!("failed: {suite}: {what}\n");
        }
        text += &format!("{}\n", self.summary());
        out.write_all(text.as_bytes()).context("cannot write to stdout")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::suite::Suite, Tally};

    fn printed(tally: &Tally) -> String {
        let mut out = Vec::new();
        tally.print(&mut out).unwrap();
        String::from_utf8(out).unwrap().trim().to_owned()
    }

    #[test]
    fn both_harnesses_are_counted_and_every_skip_is_named() {
        let mut tally = Tally::default();
        let libtest = "running 3 tests\ntest a::b ... ok\ntest c ... ignored, no time\ntest d ... FAILED\n\n\
            test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s";
        let mimic = "test long  ... ok\ntest short ... ignored (docker: it does not answer)\n\
            test all   ... ignored\n\n\
            test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let totals = libtest.lines().filter(|line| tally.count(Suite::Unit, line)).count()
            + mimic.lines().filter(|line| tally.count(Suite::Engines, line)).count();
        assert_eq!(totals, 2);
        let report = "{\"test\":\"short\",\"reason\":\"docker: it does not answer\"}\n\
            {\"test\":\"long\",\"seconds\":61.25}";
        tally.add_report(Suite::Engines, report).unwrap();
        insta::assert_snapshot!(printed(&tally), @"
        slow: 61.2 s: engines: long
        skipped: unit: c: no time
        skipped: engines: short: docker: it does not answer
        left to the full tier: 1 tests
        failed: unit: d
        2 passed, 1 failed, 2 skipped
        ");
        assert!(!tally.is_good());
    }

    fn failed(names: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for name in names {
            assert!(!tally.count("engines", &format!("test {name} ... FAILED")));
        }
        assert!(
            tally.count(
                "engines",
                &format!("test result: FAILED. 5 passed; {} failed; 0 ignored", names.len())
            )
        );
        tally
    }

    fn passed() -> Tally {
        let mut tally = Tally::default();
        assert!(tally.count("engines", "test result: ok. 1 passed; 0 failed; 0 ignored"));
        tally
    }

    #[test]
    fn a_test_that_passes_when_it_is_run_again_is_flaky_and_counted_apart() {
        let mut tally = failed(&["a", "b"]);
        assert_eq!(tally.failed_tests("engines"), ["a", "b"]);
        tally.take_again("engines", "a", &passed());
        // It failed again, or no such test was found.
        tally.take_again("engines", "b", &failed(&["b"]));
        tally.take_again("engines", "b", &Tally::default());
        assert!(!tally.is_good());
        insta::assert_snapshot!(printed(&tally), @"
        flaky: engines: a: failed, and passed when it was run again alone
        failed: engines: b
        5 passed, 1 failed, 1 flaky, 0 skipped
        ");
    }

    #[test]
    fn more_than_two_flaky_tests_fail_a_run() {
        let mut tally = failed(&["a", "b", "c"]);
        for (name, is_good) in [("a", false), ("b", false), ("c", false)] {
            tally.take_again("engines", name, &passed());
            assert_eq!(tally.is_good(), is_good, "{name}");
        }
        let mut two = failed(&["a", "b"]);
        two.take_again("engines", "a", &passed());
        two.take_again("engines", "b", &passed());
        assert!(two.is_good() && !two.is_steady());
    }

    #[test]
    fn a_suite_that_is_broken_is_not_run_again() {
        assert!(failed(&["a", "b", "c", "d", "e", "f"]).failed_tests("engines").is_empty());
        let mut tally = failed(&["a"]);
        tally.trouble("engines", "it ended with signal 9");
        assert!(tally.failed_tests("engines").is_empty());
    }

    #[test]
    fn a_suite_that_dies_is_a_failure() {
        let mut tally = Tally::default();
        tally.trouble(Suite::Kernel, "it ended with signal 9");
        assert_eq!((tally.failed(), tally.is_good()), (1, false));
    }

    #[test]
    fn a_broken_report_is_not_swallowed() {
        assert!(Tally::default().add_report(Suite::Kernel, "{\"test\":").is_err());
    }
}
