//! `seccomp-trace generate`: recordings to one profile.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::ExitStatus;
use super::better::{Better, Replacement};
use super::output::{Output, write_profile};
use super::printer::Printer;
use super::profile_options::ProfileOptions;
use crate::recording::Recording;

/// Make one profile of recordings: it allows what they saw together
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recordings, as --recording writes them; - is stdin
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// Where to write the profile; - is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: Output,
    /// Accept recordings that lack syscalls: incomplete ones, and checkpoints of runs that were killed
    #[arg(long)]
    allow_incomplete: bool,
    #[command(flatten)]
    profile: ProfileOptions,
}

/// Reads every input before anything is written.
///
/// # Errors
/// Where an input is no recording or not a whole one, nothing was seen, or the profile can't be written.
pub fn run(args: Args, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let options = args.profile.options()?;
    if args.inputs.iter().filter(|input| *input == Path::new("-")).count() > 1 {
        bail!("stdin (-) is named twice; it can be read once");
    }
    args.output.check()?;
    if let Some(output) = args.output.file().filter(|output| output.is_file())
        && let Ok(output) = output.canonicalize()
        && args.inputs.iter().any(|input| input.canonicalize().is_ok_and(|input| input == output))
    {
        bail!("{} is an input as well: the profile would replace the recording", output.display());
    }
    let recordings = args.inputs.iter().map(|input| Recording::read(input)).collect::<Result<Vec<_>, _>>()?;
    let lacking = args.inputs.iter().zip(&recordings).filter_map(|(input, recording)| {
        let title = recording.title();
        Some(format!("{} ({title}): {}", input.display(), recording.lacks_calls()?))
    });
    let lacking: Vec<_> = lacking.collect();
    if !lacking.is_empty() && !args.allow_incomplete {
        bail!(
            "no profile is made, as it would lack syscalls: {}; record again, or accept it with --allow-incomplete",
            lacking.join("; ")
        );
    }
    let replacement = Replacement::new(&recordings, Better::Replaced);
    write_profile(&recordings, &options, args.profile.format, &args.output, &replacement, printer)?;
    Ok(ExitStatus::Success)
}
