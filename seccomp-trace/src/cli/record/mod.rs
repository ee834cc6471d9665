//! `seccomp-trace record`: traces containers and cgroups while they are tested.
//!
//! [`targets`] says what was asked for, [`recorder`] looks at what is there, [`event_loop`] is the loop: it takes what the
//! kernel tells ([`kernel_events`]) and what the [`engines`] say ([`engine_events`]). [`container_state`] holds what is known of each container, [`selection`]
//! decides who is recorded, [`groups`] who is recorded together, [`live_view`] what the live view is told, [`late_attach`] what to do for one that ran before,
//! [`missed`] whose calls went nowhere, [`shutdown`]
//! when a target has ended, and what is written then.

mod container_state;
mod engine_events;
mod engines;
mod event_loop;
mod groups;
mod kernel_events;
mod late_attach;
mod live_view;
mod missed;
mod recorder;
mod selection;
mod shutdown;
mod targets;

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Result, bail};
use clap::builder::{PathBufValueParser, TypedValueParser as _};

use super::{
    ExitStatus,
    output::{Output, recording_file},
    preflight,
    printer::Printer,
    results::Destinations,
    trace_options::TraceOptions,
};
use crate::{
    engine::{ENGINES, select::Selector},
    launch,
    recording::GroupBy,
    tracer,
};

/// Trace containers while they are used, and write a profile of each
///
/// Ends when COMMAND has ended (the integration tests), when the time is over, when all containers named have
/// ended, or by Ctrl-C; in each case everything seen so far is written.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    targets: Targets,
    /// Leave these out of what the others select, such as a mesh's sidecars: a name, a glob over names, or label:KEY[=VALUE];
    /// repeatable
    #[arg(long, value_name = "NAME|GLOB|label:KEY[=VALUE]")]
    exclude: Vec<String>,
    /// Which engines to ask: all that are here, or this one; repeatable
    #[arg(long, value_name = "ENGINE", default_value = AUTO, value_parser = engine_names())]
    engine: Vec<String>,
    /// What makes several containers one recording, which then says how many of them have made each call
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    group_by: GroupBy,
    /// Wait for a container, unit or cgroup that is not there yet
    #[arg(long)]
    wait: bool,
    /// Containers that can be traced at a time
    #[arg(long, value_name = "N", default_value_t = tracer::Options::MAX_CONTAINERS,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_containers: u32,
    #[command(flatten)]
    places: OutputArgs,
    #[command(flatten)]
    trace: TraceOptions,
    /// What to do meanwhile: the integration tests, with their arguments. It is not traced itself
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What to trace. All are repeatable, and united.
#[derive(Debug, clap::Args)]
#[group(id = "targets", required = true, multiple = true)]
struct Targets {
    /// A container by its name, its id or a glob, such as web or 'api-*'
    #[arg(long, short, value_name = "NAME|ID|GLOB")]
    container: Vec<String>,
    /// All containers of an image, such as nginx or 'registry/team/*'
    #[arg(long, value_name = "GLOB")]
    image: Vec<String>,
    /// All containers with a label
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// The containers of a pod: a name or a glob, such as default/web-0 or 'shop/*'
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pod: Vec<String>,
    /// All containers of the engines, now and later
    #[arg(long)]
    all: bool,
    /// A cgroup without an engine: its path below the cgroup v2 mount, or its folder
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<String>,
    /// A systemd unit of the system, such as nginx.service
    #[arg(long, value_name = "UNIT")]
    unit: Vec<String>,
    /// The container, or the cgroup, in which this process is
    #[arg(long, value_name = "PID")]
    pid: Vec<i32>,
}

/// Where the results go.
#[derive(Debug, clap::Args)]
struct OutputArgs {
    /// Where to write the profile of one container; - is stdout, the default without COMMAND
    #[arg(short, long, value_name = "FILE", conflicts_with = "output_dir")]
    output: Option<Output>,
    /// Where to write the profile of each container: DIR/NAME.json
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Where to write the recording of one container: what was seen, when, and by whom
    #[arg(long, value_name = "FILE", conflicts_with = "recording_dir",
          value_parser = PathBufValueParser::new().try_map(recording_file))]
    recording: Option<PathBuf>,
    /// Where to write the recording of each container: DIR/NAME.recording.json
    #[arg(long, value_name = "DIR")]
    recording_dir: Option<PathBuf>,
}

impl OutputArgs {
    /// With a COMMAND, stdout is that one's.
    fn destinations(&self, has_command: bool) -> Result<Destinations> {
        let mut profile = self.output.clone();
        let has_any = self.output_dir.is_some() || self.recording.is_some() || self.recording_dir.is_some();
        if profile.is_none() && !has_any {
            if has_command {
                bail!(
                    "COMMAND owns stdout, so say where the profile goes: -o FILE, --output-dir DIR \
                     (or -o - for stdout all the same)"
                );
            }
            profile = Some(Output::Stdout);
        }
        Ok(Destinations {
            profile,
            profile_dir: self.output_dir.clone(),
            recording: self.recording.clone(),
            recording_dir: self.recording_dir.clone(),
        })
    }
}

/// As `--engine`: every engine that is here.
const AUTO: &str = "auto";

fn engine_names() -> clap::builder::PossibleValuesParser {
    [AUTO].into_iter().chain(ENGINES.iter().map(|(name, _)| *name)).into()
}

impl Args {
    /// The engines that were named; none: all that are here.
    fn engines(&self) -> &[String] {
        if self.engine.iter().any(|name| name == AUTO) { &[] } else { &self.engine }
    }

    /// What the exit code of an error is: with a COMMAND, its own codes begin at 0.
    pub fn error_exit_code(&self) -> u8 {
        if self.command.is_empty() { 2 } else { super::FAILED_BESIDE_COMMAND }
    }
}

/// Exit status: COMMAND's where it failed, 125 where we did; without COMMAND 0 or 2.
///
/// # Errors
/// Where this host can't trace, a target is not there, or something of it is lost or could not be written.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitStatus> {
    args.trace.profile.options()?;
    let Targets { container, image, label, pod, all, .. } = &args.targets;
    let selector = Selector::parse(container, image, label, *all)?.with_pods(pod)?.without(&args.exclude)?;
    let program = args.command.first().map(|name| launch::resolve(name)).transpose()?;
    let destinations = args.places.destinations(program.is_some())?;
    destinations.check()?;
    let hierarchy = preflight::check_host()?;
    let outcome = preflight::runtime()?.block_on(recorder::record(
        args,
        selector,
        program,
        destinations,
        hierarchy,
        printer,
    ))?;
    outcome.errors.iter().for_each(|trouble| printer.error(trouble));
    Ok(match (outcome.command, outcome.errors.is_empty()) {
        (Some(code), _) if code != 0 => ExitStatus::Command(code),
        (_, true) => ExitStatus::Success,
        (_, false) => ExitStatus::Command(args.error_exit_code()),
    })
}

/// How it went.
struct Outcome {
    /// COMMAND's exit code.
    command: Option<u8>,
    /// What went wrong on our side.
    errors: Vec<anyhow::Error>,
}
