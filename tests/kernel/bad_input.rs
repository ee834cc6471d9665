//! What can't be, as typed: one clear message, the right exit code, nothing started and nothing left.

use crate::{
    common::{Cgroup, LIMIT, TestEnv, expect},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};

pub fn tests() -> Vec<Trial> {
    let kernel = &[Need::Kernel];
    vec![
        support::test("options_that_contradict_each_other_are_refused", kernel, || {
            for options in [
                &["--kill", "--wait-all"][..],
                &["--strict", "--allow-incomplete"],
                &["--quiet", "--verbose"],
                &["--duration", "soon"],
                &["--ring-buffer", "5000"],
                &["--runtimes", "no-such-runtime"],
                &["--user", "no-such-user"],
                &["--no-such-option"],
            ] {
                // The option, or the value, is named. 2 could be COMMAND's own.
                not_started(options, 125, options.last().copied().unwrap_or_default())?;
            }
            not_started(&["--runtimes", "all,exact"], 125, "contradicts itself")
        }),
        support::test("a_command_without_an_output_is_refused", kernel, || {
            let case = TestEnv::new()?;
            let started = case.file("started");
            let words = ["run", "--", "touch", &started];
            expect(&support::run_with_timeout(&mut case.program(words), LIMIT)?, 125, &["--output <FILE>"])?;
            let words = ["record", "--cgroup", &case.home.path, "--", "touch", &started];
            expect(
                &support::run_with_timeout(&mut case.program(words), LIMIT)?,
                125,
                &["COMMAND owns stdout", "-o"],
            )?;
            ensure!(case.files()? == [""; 0], "{:?}", case.files()?);
            Ok(())
        }),
        support::test("no_command_and_no_target_are_refused", kernel, || {
            let case = TestEnv::new()?;
            for (words, code) in [
                (&["run", "-o", "-"][..], 125),
                (&["run", "-o", "-", "--"], 125),
                (&["record"], 2),
                (&["record", "-o", "-"], 2),
                (&["record", "-o", "-", "--", "touch", "started"], 125),
            ] {
                let output = support::run_with_timeout(&mut case.program(words), LIMIT)?;
                expect(&output, code, &["Usage"])?;
                ensure!(output.stdout.is_empty());
            }
            ensure!(case.files()? == [""; 0], "{:?}", case.files()?);
            Ok(())
        }),
        support::test("an_unknown_cgroup_is_told_with_near_misses", kernel, || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            let misspelt = cgroup.path.replace("test", "tset");
            refused(
                &case,
                &["record", "--cgroup", &misspelt],
                &[&misspelt, "no such cgroup", &cgroup.path, "--wait"],
            )?;
            refused(&case, &["record", "--cgroup", "/"], &["this is the root"])?;
            let hierarchy = seccomp_trace::inspect::cgroup::Hierarchy::find()?;
            let mount = hierarchy.directory("/").display().to_string();
            refused(&case, &["record", "--cgroup", &mount], &["this is the root"])
        }),
        support::test("a_cgroup_whose_path_is_too_long_to_wait_for_is_told", kernel, || {
            let case = TestEnv::new()?;
            let path = format!("/{0}/{0}/{0}", "a".repeat(180));
            refused(
                &case,
                &["record", "--wait", "--duration", "2s", "--cgroup", &path],
                &["511 bytes", "make it first"],
            )
        }),
        support::test("a_command_of_record_that_is_not_there_is_told_before_anything", kernel, || {
            let case = TestEnv::new()?;
            for (command, code) in [("no-such-command-here", 127), ("/etc/passwd", 126)] {
                let words = ["record", "--cgroup", &case.home.path, "-o", &case.file("p"), "--", command];
                let output = support::run_with_timeout(&mut case.program(words), LIMIT)?;
                expect(&output, code, &[command])?;
                ensure!(case.files()? == [""; 0], "{:?}", case.files()?);
            }
            Ok(())
        }),
    ]
}

/// `run` with these options starts nothing; the word is in its message.
fn not_started(options: &[&str], code: i32, word: &str) -> Result<()> {
    let case = TestEnv::new()?;
    let output = case.run(options, &["touch", &case.file("started")])?;
    expect(&output, code, &[word])?;
    ensure!(output.stdout.is_empty());
    ensure!(case.files()? == [""; 0], "{options:?}: {:?}", case.files()?);
    Ok(())
}

fn refused(case: &TestEnv, words: &[&str], said: &[&str]) -> Result<()> {
    let output = support::run_with_timeout(&mut case.program(words), LIMIT)?;
    expect(&output, 2, said)?;
    ensure!(output.stdout.is_empty());
    case.is_clean()
}
