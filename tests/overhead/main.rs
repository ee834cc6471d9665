//! What tracing costs: `cargo xtask bench` runs this, and makes docs/performance.md of what it writes. All numbers are of one
//! run, taken in turn round after round, so that what else the machine does meets them all alike.
//!
//! `calls` is a loop of one cheap syscall under each way of tracing, `peers` the same under other tools, `programs` whole
//! programs, `session` start, memory and loss, `view` the live view.
#![expect(clippy::print_stderr, reason = "a benchmark tells its user what it does")]

mod calls;
mod document;
mod machine;
mod peers;
mod place;
mod process;
mod programs;
mod rounds;
mod session;
#[path = "../support/mod.rs"]
mod support;
mod view;
mod worker;

use anyhow::{Context as _, Result, bail};
use document::Document;
use std::{env, path::PathBuf, process::ExitCode};

/// Fewer rounds, and only what has a target: for CI, where a factor is looked for and not a percent.
const CHECK: &str = "--check";

fn main() -> ExitCode {
    done().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn done() -> Result<ExitCode> {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench").peekable();
    if arguments.next_if(|first| first == worker::ARGUMENT).is_some() {
        let [cpu, procs] = [arguments.next(), arguments.next()].map(Option::unwrap_or_default);
        return worker::work(cpu.parse()?, &procs).map(|()| ExitCode::SUCCESS);
    }
    let is_check = arguments.next_if(|first| first == CHECK).is_some();
    let out = arguments.next().map(PathBuf::from);
    if arguments.next().is_some() {
        bail!("expected: [{CHECK}] [FILE]");
    }
    support::Need::Kernel.check().map_err(anyhow::Error::msg)?;
    let document = Document {
        machine: machine::describe()?,
        calls: calls::measure(is_check)?,
        session: session::measure(is_check)?,
        peers: if is_check { Vec::new() } else { peers::measure()? },
        programs: if is_check { Vec::new() } else { programs::measure()? },
        view: view::measure(is_check)?,
    };
    if let Some(out) = out {
        let text = serde_json::to_string_pretty(&document)? + "\n";
        std::fs::write(&out, text).with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
