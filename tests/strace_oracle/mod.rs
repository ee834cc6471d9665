//! Independent witnesses of the recordings: one execution of a program is seen by seccomp-trace and by `strace -f`, and
//! both must name the same calls, by number and name, for each ABI. Shared by the tests and by
//! `cargo xtask measure-exactness`, which writes what came out into docs/exactness.json and docs/exactness.md.
#![allow(dead_code, unused_imports, reason = "each of the two uses a part of this")]

pub mod calls;
pub mod compare;
mod execution;
pub mod log;
pub mod page;
pub mod programs;
pub mod recording;
pub mod results;
pub mod stressors;

use std::path::Path;

use anyhow::{Result, ensure};

pub use self::compare::{Comparison, exceptions};
use self::programs::Program;
pub use self::results::{ProgramResult, Results, StressorResult};

/// Witnesses one program. `tracer` is seccomp-trace.
pub fn program(tracer: &Path, program: &Program) -> Result<ProgramResult> {
    let seen = execution::execute(tracer, &program.argv())?;
    let good = seen.status.code() == Some(program.status) && seen.output.contains(program.says);
    ensure!(good, "{} does not do its work ({}); it printed:\n{}", program.name, seen.status, seen.output);
    Ok(ProgramResult {
        name: program.name.to_owned(),
        kind: program.kind.to_owned(),
        does: program.does.to_owned(),
        package: program.package.to_owned(),
        version: program.version()?,
        comparison: Comparison::new(&seen.recorded, &seen.straced),
    })
}

/// Witnesses one stressor, or says why not.
pub fn stressor(tracer: &Path, name: &str) -> Result<StressorResult> {
    let mut result = StressorResult {
        name: name.to_owned(),
        not_run: stressors::not_run(name).map(str::to_owned),
        skipped: None,
        user: None,
        comparison: None,
    };
    if result.not_run.is_none() {
        let seen = execution::execute(tracer, &stressors::argv(name))?;
        ensure!(seen.output.contains("stress-ng: "), "stress-ng did not start; it printed:\n{}", seen.output);
        result.skipped = stressors::skipped(name, &seen.output);
        result.user = Some(stressors::user(name).to_owned());
        result.comparison = Some(Comparison::new(&seen.recorded, &seen.straced));
    }
    Ok(result)
}

#[cfg(test)]
mod tests;
