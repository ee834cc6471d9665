//! `cargo xtask measure-exactness`: real programs and every stressor of stress-ng, each seen by seccomp-trace and by
//! strace in one execution; what came out is written into docs/exactness.json, and docs/exactness.md is made of that.

use crate::plan::Plan;
use crate::strace_oracle::{self, ProgramResult, Results, StressorResult, page, programs, stressors};
use crate::{build, cargo, host, packages};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

const DATA: &str = "docs/exactness.json";
const PAGE: &str = "docs/exactness.md";

/// The arguments of `cargo xtask measure-exactness`.
#[derive(clap::Args)]
pub struct Args {
    /// Only these programs and stressors; the others' results stay as they are.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Makes the page of the results at hand, and measures nothing.
    #[arg(long, conflicts_with = "only")]
    render: bool,
    /// Measures, and writes nothing.
    #[arg(long, conflicts_with = "render")]
    check: bool,
}

/// Measures, and writes both files. The status is 1 where a difference is not explained.
pub fn run(args: &Args) -> Result<ExitCode> {
    let data = cargo::root().join(DATA);
    let old = Results::read(&data)?;
    let results = match (args.render, old) {
        (true, old) => old.with_context(|| format!("there is no {DATA}; leave out --render"))?,
        (false, old) => measure(&args.only, old)?,
    };
    let exceptions = strace_oracle::exceptions()?;
    let faults = results.faults(&exceptions);
    let write = |file: &Path, text: String| {
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    let done = if args.check {
        format!("{} programs and stressors compared", results.programs.len() + results.stressors.len())
    } else {
        write(&data, results.to_json()?)?;
        write(&cargo::root().join(PAGE), page::render(&results, &exceptions))?;
        format!("written: {DATA}, {PAGE}")
    };
    let lines = [faults.clone(), vec![done]].concat();
    writeln!(std::io::stdout(), "{}", lines.join("\n")).context("cannot write to stdout")?;
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(only: &[String], old: Option<Results>) -> Result<Results> {
    if host::privilege() != host::Privilege::Root {
        bail!("only root can trace; as root, type: cargo xtask measure-exactness");
    }
    install_packages()?;
    let tracer = build::program(false)?;
    let wanted = |name: &str| only.is_empty() || only.iter().any(|its| its == name);
    let programs: Vec<_> = programs::PROGRAMS.iter().filter(|program| wanted(program.name)).collect();
    let stressors: Vec<_> = stressors::all()?.into_iter().filter(|name| wanted(name)).collect();
    if let Some(unknown) = only
        .iter()
        .find(|name| !stressors.contains(name) && !programs.iter().any(|program| program.name == *name))
    {
        bail!("there is no program and no stressor {unknown}");
    }
    // One at a time: a program has both processors for its threads.
    let programs =
        each(&programs, 1, |program| program.name, |program| strace_oracle::program(&tracer, program))?;
    let stressors = each(&stressors, 2, |name| name, |name| strace_oracle::stressor(&tracer, name))?;
    let (mut old_programs, mut old_stressors) = match old {
        Some(old) if !only.is_empty() => (old.programs, old.stressors),
        _ => <(Vec<ProgramResult>, Vec<StressorResult>)>::default(),
    };
    old_programs.retain(|old| !programs.iter().any(|new| new.name == old.name));
    old_stressors.retain(|old| !stressors.iter().any(|new| new.name == old.name));
    let mut results = Results {
        versions: versions(&tracer)?,
        programs: [old_programs, programs].concat(),
        stressors: [old_stressors, stressors].concat(),
    };
    let place = |name: &str| programs::PROGRAMS.iter().position(|program| program.name == name);
    results.programs.sort_by_key(|program| place(&program.name));
    results.stressors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(results)
}

/// Does something for each of `list`, some at a time, and tells what it is at. One that fails doesn't keep the others from
/// their turn.
fn each<'a, T: Sync, N: Display, R: Send>(
    list: &'a [T],
    at_a_time: usize,
    name: impl Fn(&'a T) -> N + Sync,
    act: impl Fn(&'a T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new((Vec::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(item) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                    eprintln!("{}", name(item));
                    let result = act(item);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    match result {
                        Ok(result) => done.0.push(result),
                        Err(error) => done.1.push(format!("{}: {error:#}", name(item))),
                    }
                }
            });
        }
    });
    let (results, errors) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !errors.is_empty() {
        bail!(
            "{} of {} were not compared, and nothing is written:\n{}",
            errors.len(),
            list.len(),
            errors.join("\n")
        );
    }
    Ok(results)
}

fn install_packages() -> Result<()> {
    let mut plan = Plan::default();
    plan.apt(&packages::missing_for_all_tests());
    if plan.steps.is_empty() { Ok(()) } else { plan.carry_out() }
}

fn versions(tracer: &Path) -> Result<BTreeMap<String, String>> {
    let own = Command::new(tracer).arg("--version").output().context("cannot start seccomp-trace")?;
    let own = String::from_utf8_lossy(&own.stdout);
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(BTreeMap::from([
        ("Linux".to_owned(), kernel),
        ("seccomp-trace".to_owned(), own.split_whitespace().last().unwrap_or_default().to_owned()),
        ("strace".to_owned(), programs::version("strace")?),
        ("stress-ng".to_owned(), programs::version(stressors::PACKAGE)?),
    ]))
}
