//! `cargo xtask measure-minimality`: what the test containers do without each call of their profiles. The containers are those of
//! `tests/engines/container_matrix`, which measures; here it is started, and what it wrote is rendered.

#[path = "../../../tests/engines/container_matrix/minimality/document.rs"]
mod document;
mod render;

use crate::{cargo, engines_test};
use anyhow::{Context as _, Result, bail};
use document::Minimality;
use std::fs;
use std::io::Write as _;

const DATA: &str = "docs/minimality.json";
const DOCUMENT: &str = "docs/minimality.md";
/// The test that measures, and the variable that asks it to.
const TEST: &str = "minimality_is_measured";
const MEASURE: &str = "SECCOMP_TRACE_MINIMALITY";

/// The arguments of `cargo xtask measure-minimality`.
#[derive(clap::Args)]
pub struct Args {
    /// Renders the document from the data that is there, and measures nothing.
    #[arg(long)]
    render: bool,
    /// Measures, and fails where a call has no reason; writes nothing.
    #[arg(long, conflicts_with = "render")]
    check: bool,
}

/// Measures, writes the data, and renders the document.
pub fn run(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let committed = cargo::root().join(DATA);
    let data = if args.check { folder.path().join("minimality.json") } else { committed };
    let document = cargo::root().join(DOCUMENT);
    if !args.render {
        // Some ten minutes; each call is told on stderr when it is done.
        engines_test::run(TEST, MEASURE, data.as_os_str(), "kernel,docker,debootstrap")?;
    }
    let text = fs::read_to_string(&data).with_context(|| format!("cannot read {}", data.display()))?;
    let measured: Minimality = serde_json::from_str(&text).context(DATA)?;
    if args.check {
        return check(&measured);
    }
    fs::write(&document, render::document(&measured))
        .with_context(|| format!("cannot write {}", document.display()))?;
    writeln!(std::io::stdout(), "written: {}", document.display()).context("cannot write to stdout")
}

/// Every call that was measured has a reason.
fn check(measured: &Minimality) -> Result<()> {
    for program in &measured.programs {
        if let Some((name, _)) = program.calls.iter().find(|(_, call)| call.reasons.is_empty()) {
            bail!("{}: {name} is in the profile, and has no reason", program.name);
        }
    }
    let calls: usize = measured.programs.iter().map(|program| program.calls.len()).sum();
    writeln!(std::io::stdout(), "{calls} calls measured").context("cannot write to stdout")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Minimality {
        serde_json::from_str(&fs::read_to_string(cargo::root().join(DATA)).unwrap()).unwrap()
    }

    #[test]
    fn the_document_is_what_the_data_renders_to() {
        let committed = fs::read_to_string(cargo::root().join(DOCUMENT)).unwrap();
        assert!(
            committed == render::document(&measured()),
            "{DOCUMENT} is not that of {DATA}; run: cargo xtask measure-minimality --render"
        );
    }

    #[test]
    fn every_call_was_measured_and_has_a_reason() {
        let measured = measured();
        assert_eq!(measured.programs.len(), 4);
        for program in &measured.programs {
            assert!(program.calls.len() > 40, "{}", program.name);
            for (name, call) in &program.calls {
                assert!(!call.reasons.is_empty(), "{}: {name}", program.name);
                assert_eq!(call.seen.is_none(), call.effect == document::Effect::Tolerated, "{name}");
            }
        }
    }
}
