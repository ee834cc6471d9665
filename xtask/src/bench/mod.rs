//! `cargo xtask bench`: what tracing costs. `tests/overhead` measures; here it is started, and what it wrote is shown, judged, and
//! made into a page.

#[path = "../../../tests/overhead/document.rs"]
mod document;
mod judge;
mod page;

use crate::{cargo, host, setup};
use anyhow::{Context as _, Result, bail};
use document::Document;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

const DATA: &str = "docs/performance.json";
const PAGE: &str = "docs/performance.md";

/// The arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// A short run that writes nothing; the status is 1 where a target is missed by half or more.
    #[arg(long)]
    check: bool,
    /// Makes the page of the numbers at hand, and measures nothing.
    #[arg(long, conflicts_with = "check")]
    render: bool,
}

/// Measures, shows what came out, and writes both files. The status is 1 where a target is missed.
pub fn run(args: &Args) -> Result<ExitCode> {
    let data = cargo::root().join(DATA);
    let document = if args.render {
        read(&data)?
    } else if args.check {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let file = folder.path().join("performance.json");
        measure(&["--check"], &file)?;
        read(&file)?
    } else {
        measure(&[], &data)?;
        read(&data)?
    };
    let mut out = page::tables(&document);
    let missed = judge::missed(&document, if args.check { judge::COARSE } else { judge::EXACT });
    out += &missed.iter().map(|missed| format!("missed: {missed}\n")).collect::<String>();
    if !args.check {
        let page = cargo::root().join(PAGE);
        fs::write(&page, page::page(&document))
            .with_context(|| format!("cannot write {}", page.display()))?;
        out += &format!("written: {DATA}, {PAGE}\n");
    }
    write!(std::io::stdout(), "{out}").context("cannot write to stdout")?;
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> Result<Document> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn measure(options: &[&str], to: &Path) -> Result<()> {
    if host::privilege() != host::Privilege::Root {
        bail!("only root can trace; type the same as root");
    }
    setup::ensure()?;
    let features = ["bench", "--no-run", "--bench", "overhead", "--features", "seccomp-trace/test-kernel"];
    let program = cargo::executable(&features, "overhead")?;
    let status =
        Command::new(program).args(options).arg(to).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.context("cannot start the benchmark")?;
    if !status.success() {
        bail!("the benchmark failed ({status}); nothing is written");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_numbers_render_to() {
        let document = read(&cargo::root().join(DATA)).unwrap();
        let committed = fs::read_to_string(cargo::root().join(PAGE)).unwrap();
        assert!(
            committed == page::page(&document),
            "{PAGE} is not that of {DATA}; run: cargo xtask bench --render"
        );
    }
}
