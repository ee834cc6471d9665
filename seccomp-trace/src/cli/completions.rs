//! `seccomp-trace completions`: what a shell needs to complete our subcommands and options.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::output::Output;
use super::printer::Printer;
use super::{Cli, ExitStatus, NAME};

/// Print the completions of a shell
///
/// Where each shell looks for them:
///
///   seccomp-trace completions bash > /usr/share/bash-completion/completions/seccomp-trace
///   seccomp-trace completions zsh  > /usr/share/zsh/vendor-completions/_seccomp-trace
///   seccomp-trace completions fish > /usr/share/fish/vendor_completions.d/seccomp-trace.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints them to stdout.
///
/// # Errors
/// Where stdout can't be written.
pub fn run(args: &Args, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut text);
    let mut text = String::from_utf8(text)?;
    if args.shell == Shell::Bash {
        // clap_complete 4.6.11 calls a program with a hyphen in its name by two names, and then finds no subcommand.
        text = text.replace(&NAME.replace('-', "__subcmd__"), &NAME.replace('-', "__"));
    }
    Output::Stdout.write(text.as_bytes(), printer)?;
    Ok(ExitStatus::Success)
}
