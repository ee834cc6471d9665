//! What a filter denies is named, and nothing else: answers of every kind, and all that looks like a denial and is none.
//!
//! Most run seccomp-trace itself under a filter: what a command of `run` inherits is the profile that it runs under.

mod answers;
mod orphans;
mod programs;

use crate::{
    common::{NATIVE, TestEnv, expect, with_libc},
    support::{Need, Running, Trial},
};
use anyhow::Result;
use seccomp_trace::{abi::Abi, recording::Recording};
use std::process::Output;

const NEEDS: &[Need] = &[Need::Kernel, Need::Cc];

pub fn tests() -> Vec<Trial> {
    [answers::tests(), orphans::tests(), programs::tests()].into_iter().flatten().collect()
}

/// `seccomp-trace run` under a filter with these answers.
pub fn run_under(
    case: &TestEnv,
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
pub fn start_under(case: &TestEnv, answers: &[&str], options: &[&str], command: &[&str]) -> Result<Running> {
    let filter = with_libc(case, "filter", include_str!("filter.c"))?;
    let answers: Vec<String> = answers.iter().copied().map(numbered).collect();
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let program = crate::support::program().get_program().to_string_lossy().into_owned();
    let words = case.run_words(options, command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let line = [&[filter.as_str()], &answers[..], &["--", &program], &words].concat();
    Running::start(&mut case.command(&line))
}

/// An answer by a name (`times=50001`, of 32-bit programs `32:times=50001`), by the number that `filter.c` takes.
fn numbered(answer: &str) -> String {
    let (call, answer) = answer.split_once('=').unwrap_or((answer, ""));
    let (prefix, abi, name) = match call.strip_prefix("32:") {
        Some(name) => ("32:", Abi::HOST[1], name),
        None => ("", NATIVE, call),
    };
    let number = abi.number(name).map_or_else(|| name.to_owned(), |number| number.to_string());
    format!("{prefix}{number}={answer}")
}
