//! What a filter denies is named, and nothing else: answers of every kind, and all that looks like a denial and is none.
//!
//! Most run seccomp-trace itself under a filter: what a command of `run` inherits is the profile that it runs under.

mod answers;
mod orphans;

use crate::{
    help::{Case, expect, with_libc},
    support::{Need, Running, Trial},
};
use anyhow::Result;
use seccomp_trace::recording::Recording;
use std::process::Output;

const NEEDS: &[Need] = &[Need::Kernel, Need::Cc];

pub fn tests() -> Vec<Trial> {
    [answers::tests(), orphans::tests()].into_iter().flatten().collect()
}

/// `seccomp-trace run` under a filter with these answers.
fn run_under(
    case: &Case,
    answers: &[&str],
    options: &[&str],
    command: &[&str],
    code: i32,
) -> Result<(Recording, Output)> {
    let output = case.finish(start_under(case, answers, options, command)?)?;
    expect(&output, code, &[])?;
    Ok((case.recording()?, output))
}

/// As [`run_under`], to its start.
fn start_under(case: &Case, answers: &[&str], options: &[&str], command: &[&str]) -> Result<Running> {
    let filter = with_libc(case, "filter", include_str!("filter.c"))?;
    let program = crate::support::program().get_program().to_string_lossy().into_owned();
    let words = case.run_words(options, command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let line = [&[filter.as_str()], answers, &["--", &program], &words].concat();
    Running::start(&mut case.command(&line))
}
