//! `seccomp-trace man`: the manual, made of what `--help` says.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;

use super::output::Output;
use super::printer::Printer;
use super::{Cli, ExitStatus};

/// Print a page of the manual, or write all of them
///
///   seccomp-trace man record | man -l -
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The subcommand whose page is printed; without it, the program's own
    #[arg(value_name = "COMMAND")]
    subcommand: Option<String>,
    /// Write all pages to this folder: seccomp-trace.1, seccomp-trace-run.1 and so on
    #[arg(long, value_name = "DIR", conflicts_with = "subcommand")]
    output_dir: Option<PathBuf>,
}

/// Prints one page to stdout, or writes all of them.
///
/// # Errors
/// Where one can't be written.
pub fn run(args: &Args, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let mut program = Cli::command();
    // Gives the subcommands their full names and the options that all have.
    program.build();
    if let Some(folder) = &args.output_dir {
        for command in std::iter::once(&program).chain(program.get_subcommands()) {
            let page = Man::new(command.clone());
            Output::File(folder.join(page.get_filename())).write(&render(&page)?, printer)?;
        }
        return Ok(ExitStatus::Success);
    }
    let command = match &args.subcommand {
        Some(name) => program
            .find_subcommand(name)
            .with_context(|| format!("there is no subcommand {name}; `seccomp-trace --help` lists them"))?,
        None => &program,
    };
    Output::Stdout.write(&render(&Man::new(command.clone()))?, printer)?;
    Ok(ExitStatus::Success)
}

fn render(page: &Man) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    page.render(&mut text).context("the page can't be made")?;
    Ok(text)
}
