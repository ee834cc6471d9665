//! The command line: what was typed, and one file a subcommand. Only what is here prints.

mod better;
pub mod completions;
mod forward_signals;
pub mod generate;
pub mod man;
pub mod output;
mod preflight;
pub mod printer;
pub mod profile_options;
pub mod record;
mod results;
pub mod run;
mod session;
mod stream_writer;
mod trace_options;
pub mod tracing_profile;
mod watch;

use std::{ffi::OsString, process::ExitCode};

use clap::{ColorChoice, Parser, Subcommand};

use printer::Printer;

use crate::{inspect::accounts, launch::CommandError};

/// What the program is called.
const NAME: &str = "seccomp-trace";

/// Watches a container in the kernel while its tests run, and writes the smallest seccomp profile
/// under which it works.
#[derive(Debug, Parser)]
#[command(name = NAME, version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The options of every subcommand.
#[derive(Debug, clap::Args)]
struct Global {
    /// Print warnings and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more: why each syscall is in the profile, and what the program does
    #[arg(long, short, global = true)]
    verbose: bool,
    /// When to use colours on stderr; without this option NO_COLOR decides, and whether it is a terminal
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", global = true)]
    color: ColorChoice,
}

/// One subcommand, one file.
#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Record(Box<record::Args>),
    Generate(generate::Args),
    TracingProfile(tracing_profile::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Our own failure, where the exit status is else that of the user's COMMAND: as env(1) and docker run.
const FAILED_BESIDE_COMMAND: u8 = 125;

/// How a command ended, where it did not end in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done.
    Success,
    /// The status of the user's own COMMAND, or one that a shell would give.
    Command(u8),
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Success => ExitCode::SUCCESS,
            ExitStatus::Command(status) => ExitCode::from(status),
        }
    }
}

impl Command {
    fn run(self, printer: &Printer) -> anyhow::Result<ExitStatus> {
        match self {
            Command::Run(args) => run::run(&args, printer),
            Command::Record(args) => record::run(&args, printer),
            Command::Generate(args) => generate::run(args, printer),
            Command::TracingProfile(args) => tracing_profile::run(args, printer),
            Command::Completions(args) => completions::run(&args, printer),
            Command::Man(args) => man::run(&args, printer),
        }
    }

    /// The exit code where [`run`](Self::run) ends in an error.
    fn error_exit_code(&self) -> u8 {
        match self {
            Command::Run(_) => FAILED_BESIDE_COMMAND,
            Command::Record(args) => args.error_exit_code(),
            Command::Generate(_) | Command::TracingProfile(_) | Command::Completions(_) | Command::Man(_) => {
                2
            }
        }
    }
}

/// The whole program: parses what was typed, runs it, and says how it ended.
pub fn main() -> ExitCode {
    accounts::use_files_only();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and usage to a closed pipe are no error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                usage_exit_code(std::env::args_os().skip(1))
            } else {
                0
            });
        }
    };
    let printer = Printer::new(cli.global.quiet, cli.global.verbose, cli.global.color);
    if printer.is_verbose() {
        show_diagnostics(printer);
    }
    let trouble = cli.command.error_exit_code();
    let code = match cli.command.run(&printer) {
        Ok(status) => status.into(),
        Err(error) => {
            printer.error(&error);
            // 126 and 127, as a shell.
            ExitCode::from(error.downcast_ref::<CommandError>().map_or(trouble, CommandError::exit_code))
        }
    };
    printer.finish();
    code
}

/// The exit code where the words can't be understood. As [`Command::trouble`], which is not known then: 2 could be the
/// user's own COMMAND's.
fn usage_exit_code(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<_> = words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let end = words.iter().position(|word| word == "--");
    let own = words.get(..end.unwrap_or(words.len())).unwrap_or_default();
    let is_value = |index: usize| {
        index.checked_sub(1).is_some_and(|before| own.get(before).is_some_and(|word| word == "--color"))
    };
    let subcommand = own.iter().enumerate().find(|(index, word)| !word.starts_with('-') && !is_value(*index));
    match subcommand.map(|(_, word)| word.as_str()) {
        Some("run") => FAILED_BESIDE_COMMAND,
        Some("record") if end.is_some() => FAILED_BESIDE_COMMAND,
        _ => 2,
    }
}

/// The kernel program's own diagnostics, and those of its loader.
fn show_diagnostics(printer: Printer) {
    env_logger::Builder::new()
        .filter_module(env!("CARGO_CRATE_NAME"), log::LevelFilter::Debug)
        .format(move |_, record| {
            printer.verbose(record.args());
            Ok(())
        })
        .init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn a_usage_error_is_never_taken_for_the_commands_own_status() {
        let usage_exit_code = |line: &str| super::usage_exit_code(line.split_whitespace().map(Into::into));
        for line in ["run", "run -o", "--color never run --bad -- true", "record --bad -- sh -c run"] {
            assert_eq!(usage_exit_code(line), 125, "{line}");
        }
        for line in
            ["", "nonsense", "record --bad", "generate --bad run", "generate -- run", "help run", "-- run"]
        {
            assert_eq!(usage_exit_code(line), 2, "{line}");
        }
    }
}
