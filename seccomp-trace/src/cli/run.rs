//! `seccomp-trace run`: traces one command in a cgroup of its own.

use std::{ffi::OsString, path::PathBuf, pin::pin, process::ExitStatus as ProcessStatus, time::Duration};

use anyhow::{Context as _, Result};
use clap::builder::{PathBufValueParser, TypedValueParser as _};
use seccomp_trace_common::flag;
use tokio::{process::Child, time};

use super::{
    ExitStatus, forward_signals,
    output::{Output, recording_file},
    preflight,
    printer::Printer,
    results::{Destinations, OutputAllocator, OutputPaths},
    session::{RecordingId, Session},
    trace_options::TraceOptions,
    watch::{self, ViewRequest, Watch},
};
use crate::{
    inspect::cgroup,
    launch::{self, GatedChild, LaunchCgroup, OrphanPolicy, Signals, User},
    live::view::Action,
    recording::Target,
    tracer::Loader,
};

/// How often a checkpoint is written while something is new.
const CHECKPOINT: Duration = Duration::from_secs(1);

/// Trace one command and all its descendants, and write the profile a container with it needs
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write the profile; - is stdout, which COMMAND shares
    #[arg(short, long, value_name = "FILE", required_unless_present = "recording")]
    output: Option<Output>,
    /// Where to write the recording: what was seen, when, and by whom
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(recording_file))]
    recording: Option<PathBuf>,
    /// Run COMMAND as this user: NAME, UID or UID:GID
    #[arg(long, short, value_name = "USER")]
    user: Option<User>,
    /// End the processes that COMMAND leaves behind
    #[arg(long)]
    kill: bool,
    /// Wait for the processes that COMMAND leaves behind, and trace them to their end
    #[arg(long, conflicts_with = "kill")]
    wait_all: bool,
    #[command(flatten)]
    trace: TraceOptions,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Exit status: COMMAND's; 125 where we failed and COMMAND did not, 126 and 127 as a shell.
///
/// # Errors
/// Where this host can't trace or a result can't be written.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitStatus> {
    args.trace.profile.options()?;
    let name = args.command.first().context("no COMMAND")?;
    let program = launch::resolve(name)?;
    let destinations = Destinations {
        profile: args.output.clone(),
        recording: args.recording.clone(),
        ..Destinations::default()
    };
    destinations.check()?;
    let hierarchy = preflight::check_host()?;
    preflight::runtime()?.block_on(async {
        let loader = Loader::new();
        let mut signals = Signals::take().context("can't take signals")?;
        let plan = OutputAllocator::new(destinations, *printer)?.plan(&Target::Command { argv: Vec::new() });
        let cgroup = LaunchCgroup::create(&hierarchy, cgroup::of_process(std::process::id().cast_signed())?)
            .context("can't make a cgroup for the command")?;
        let procs = cgroup.procs().context("can't open the cgroup of the command")?;
        let caller = watch::ViewContext {
            title: format!("run: {}", shown(&args.command)),
            end: plan.places(),
            has_command: true,
            is_stdout_free: false,
        };
        let watch = Watch::start(&args.trace.watch, caller, *printer)?;
        let streams = Watch::streams(watch.as_ref())?;
        // Moved there while the kernel program is loaded.
        let waiting = GatedChild::start(program, &args.command, procs, args.user.as_ref(), streams)?;
        let mut session = preflight::start_session(loader, args.trace.tracer(1, false), &[], printer)?;
        let argv = args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let subject = session.add(Target::Command { argv });
        session.track(subject, &hierarchy, cgroup.path(), flag::RUN_COMMAND, 0)?;
        if let Some(watch) = &watch {
            session.watch(watch.tell());
        }
        let child = waiting.execute()?;
        forward_signals::pass_on_early(&child, &mut signals).await;
        let mut traced = Traced { args, printer, session, subject, plan, cgroup, watch };
        traced.tell_facts(true);
        let Some(status) = traced.follow(child, &mut signals).await? else {
            printer.warn("interrupted twice: nothing more is written than the last checkpoint");
            return Ok(ExitStatus::Command(130));
        };
        traced.end(status)
    })
}

/// The command as it was typed.
fn shown(command: &[OsString]) -> String {
    command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

struct Traced<'a> {
    args: &'a Args,
    printer: &'a Printer,
    session: Session,
    subject: RecordingId,
    plan: OutputPaths,
    cgroup: LaunchCgroup,
    watch: Option<Watch>,
}

impl Traced<'_> {
    /// Until the command has ended, and what it left behind where that is waited for. None: quit at once.
    async fn follow(&mut self, mut child: Child, signals: &mut Signals) -> Result<Option<ProcessStatus>> {
        let mut tick = time::interval(CHECKPOINT);
        let mut interrupts = forward_signals::Interrupts::default();
        let mut over = pin!(time::sleep(self.args.trace.duration.unwrap_or(Duration::MAX)));
        let mut is_over = false;
        let mut status = None;
        loop {
            if let Some(status) = status
                && !(self.args.wait_all && self.cgroup.is_populated() && !is_over)
            {
                return Ok(Some(status));
            }
            // Nobody tells when the last process is gone: looked for often, and only at the end.
            let pause = if status.is_some() { Duration::from_millis(20) } else { Duration::MAX };
            tokio::select! {
                () = self.session.wait() => self.session.drain_events()?,
                ended = child.wait(), if status.is_none() => status = Some(ended.context("can't wait for COMMAND")?),
                signal = signals.next() => {
                    if interrupts.is_second(signal) {
                        return Ok(None);
                    }
                    forward_signals::pass_on(&child, signal);
                    is_over |= status.is_some() && signal.is_termination();
                }
                () = &mut over, if !is_over => {
                    is_over = true;
                    forward_signals::terminate(&child);
                }
                wish = watch::next(&mut self.watch) => match wish {
                    ViewRequest::Key(Action::End) => {
                        is_over = true;
                        forward_signals::terminate_group(&child);
                        self.printer.note("COMMAND is asked to end; Ctrl-C twice quits at once");
                    }
                    ViewRequest::Key(Action::Interrupt) if interrupts.is_second_interrupt() => return Ok(None),
                    ViewRequest::Key(Action::Interrupt) => {
                        forward_signals::interrupt_group(&child);
                        is_over |= status.is_some();
                    }
                    ViewRequest::Key(Action::Write(_)) => self.write_now()?,
                    ViewRequest::Measured => {
                        if let Some(watch) = &mut self.watch {
                            watch.measured(&self.session);
                        }
                    }
                    ViewRequest::Key(Action::Choose(_) | Action::Suspend) => {}
                },
                _ = tick.tick() => {
                    self.checkpoint()?;
                    self.tell_facts(true);
                    if let Some(watch) = &mut self.watch {
                        watch.tick(&mut self.session)?;
                    }
                }
                () = time::sleep(pause) => {}
            }
        }
    }

    fn checkpoint(&mut self) -> Result<()> {
        if let Some(recording) = self.session.checkpoint(self.subject)? {
            self.plan.write_checkpoint(&recording, self.printer);
        }
        Ok(())
    }

    fn tell_facts(&mut self, is_running: bool) {
        if let Some(watch) = &mut self.watch
            && let Some(subject) = self.session.subject(self.subject)
        {
            watch.tell_facts(self.subject, subject, is_running, || self.plan.places());
        }
    }

    /// The profile as it stands.
    fn write_now(&mut self) -> Result<()> {
        if let Some(recording) = self.session.now(self.subject)? {
            self.plan.write_now(&recording, &self.args.trace, self.printer);
        }
        Ok(())
    }

    fn end(mut self, status: ProcessStatus) -> Result<ExitStatus> {
        if let Some(watch) = &mut self.watch {
            watch.leave_screen();
        }
        let elsewhere = self.session.elsewhere(self.subject, &self.cgroup.processes())?;
        if elsewhere.count > 0 {
            self.printer.warn(format!(
                "processes of COMMAND live on outside of its cgroup ({elsewhere}), whose further calls are not in the recording"
            ));
        }
        // What is moved back is not what has left.
        self.session.release(self.subject)?;
        let left_over = if self.args.kill { OrphanPolicy::Kill } else { OrphanPolicy::MoveBack };
        match (self.cgroup.clear(left_over), left_over) {
            (0, _) => {}
            (count, OrphanPolicy::Kill) => {
                self.printer.note(format!("COMMAND left {count} processes behind; they were ended"))
            }
            (count, OrphanPolicy::MoveBack) => self.printer.warn(format!(
                "COMMAND left {count} processes behind, whose further calls are not in the recording; \
                 --wait-all waits for them, --kill ends them"
            )),
        }
        self.session.drain_events()?;
        self.session.finish()?;
        self.tell_facts(false);
        let recording = self.session.subject(self.subject).map(|subject| subject.builder.build(true));
        let recording = recording.context("nothing was recorded")?;
        // Detached before anything is written.
        drop((self.session, self.cgroup));
        let errors = self.plan.write(recording, &self.args.trace, self.printer);
        errors.iter().for_each(|trouble| self.printer.error(trouble));
        Ok(ExitStatus::Command(match (forward_signals::exit_code(status), errors.is_empty()) {
            (0, false) => super::FAILED_BESIDE_COMMAND,
            (code, _) => code,
        }))
    }
}
