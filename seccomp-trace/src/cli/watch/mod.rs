//! `--watch`: ties a session to the live view. [`options`] says what was asked for, [`facts`] what is told of a container,
//! [`cost`] what tracing costs; the view itself is [`crate::live`].

mod cost;
mod facts;
mod options;
mod stream;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IsTerminal as _},
    process::Stdio,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use facts::facts;
use jiff::Timestamp;
pub use options::WatchOptions;
use seccomp_trace_common::MAX_COUNTED;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, sleep_until},
};

use self::{cost::CostMeter, stream::LineWriter};
use super::{
    printer::{Printer, Printing},
    session::{RecordingId, RecordingState, Session, UpdateSink},
};
use crate::{
    launch::Streams,
    live::{
        draw::{About, Theme},
        lines::{self, Line, LineFormat},
        model::{Flaw, Model, Status, Update},
        output::Output,
        screen::{Screen, Shared, Stream},
        view::{Action, View},
    },
};

/// What a caller says about itself.
pub struct ViewContext {
    /// What is done: `record`, `run: nginx`.
    pub title: String,
    /// What happens at the end, where several containers are recorded.
    pub end: String,
    /// There is a COMMAND.
    pub has_command: bool,
    /// Neither COMMAND nor the profile needs stdout.
    pub is_stdout_free: bool,
}

/// The live view, while a session lasts. Dropped, the terminal is as it was, and what was said meanwhile is printed.
pub struct Watch {
    printer: Printer,
    shared: Shared,
    screen: Option<Screen>,
    lines: Option<LineWriter>,
    actions: UnboundedReceiver<Action>,
    output: Option<Output>,
    printing: Option<Printing>,
    chosen: Option<RecordingId>,
    cost: CostMeter,
    /// Those of which is told that they have ended, and with which flaws.
    ended: BTreeMap<RecordingId, BTreeSet<Flaw>>,
    /// The kernel has skipped runs of the kernel program: every recording is incomplete.
    has_skips: bool,
}

impl Watch {
    /// Starts the view, where it is asked for.
    ///
    /// # Errors
    /// Where the terminal can't be used, or COMMAND's output can't be kept.
    pub fn start(options: &WatchOptions, caller: ViewContext, printer: Printer) -> Result<Option<Self>> {
        let Some(format) = options.format() else { return Ok(None) };
        let stream = if caller.is_stdout_free { Stream::Stdout } else { Stream::Stderr };
        let shared = Shared::new(Model::new(Timestamp::now()));
        let (ask, actions) = unbounded_channel();
        let mut watch = Self {
            printer,
            shared: shared.clone(),
            screen: None,
            lines: None,
            actions,
            output: None,
            printing: None,
            chosen: None,
            cost: CostMeter::default(),
            ended: BTreeMap::new(),
            has_skips: false,
        };
        if let Some(format) = format.or_else(|| (!stream.is_screen()).then_some(LineFormat::Text)) {
            let writer = LineWriter::start(stream, format).context("can't write the lines of --watch")?;
            if format == LineFormat::Json && stream == Stream::Stderr {
                let tell = writer.clone();
                printer.redirect(
                    false,
                    Box::new(move |text| tell.send(Line::Message { text: text.to_owned() })),
                );
            }
            watch.lines = Some(writer);
            return Ok(Some(watch));
        }
        if caller.has_command {
            watch.output = Some(Output::new().context("can't keep what COMMAND prints")?);
        }
        let about = About {
            title: caller.title,
            end: caller.end,
            max_counted: MAX_COUNTED as usize,
            has_command: caller.has_command,
        };
        let look = Theme { color: stream.has_color(printer.color()), unicode: options::has_unicode() };
        let view = View::new(watch.output.clone());
        let told = shared.clone();
        printer.redirect(
            true,
            Box::new(move |text| {
                told.lock().apply(Update::Said(text.to_owned()));
            }),
        );
        let screen = Screen::open(stream, shared, view, about, look, move |action| {
            let _ = ask.send(action);
        });
        watch.screen =
            Some(screen.context("can't take the terminal for --watch; --watch-format lines needs none")?);
        Ok(Some(watch))
    }

    /// What is known of a container by now. Of one that has ended once, or a long session would tell it again and again.
    pub fn tell_facts(
        &mut self,
        id: RecordingId,
        subject: &RecordingState,
        is_running: bool,
        files: impl Fn() -> String,
    ) {
        let mut flaws = subject.flaws();
        flaws.extend(self.has_skips.then_some(Flaw::Incomplete));
        if is_running {
            self.ended.remove(&id);
        }
        if is_running || self.ended.insert(id, flaws.clone()).is_none_or(|before| before != flaws) {
            self.tell()(Update::Container(id, facts(subject.builder.target(), is_running, files(), flaws)));
        }
    }

    /// Where a session tells its news.
    pub fn tell(&self) -> UpdateSink {
        let shared = self.shared.clone();
        match self.lines.clone() {
            Some(writer) => Arc::new(move |update| {
                lines::lines(&mut shared.lock(), update).into_iter().for_each(|line| writer.send(line));
            }),
            None => Arc::new(move |update| {
                shared.lock().apply(update);
            }),
        }
    }

    /// COMMAND's standard streams: those that are the picture's terminal are kept from it.
    ///
    /// # Errors
    /// Where we have too many files open.
    pub fn streams(watch: Option<&Self>) -> Result<Streams> {
        let Some(output) = watch.and_then(|watch| watch.output.as_ref()) else {
            return Ok(Streams::default());
        };
        let keep = |is_terminal: bool| is_terminal.then(|| output.stdio()).transpose();
        Ok(Streams {
            stdin: io::stdin().is_terminal().then(Stdio::null),
            stdout: keep(io::stdout().is_terminal())?,
            stderr: keep(io::stderr().is_terminal())?,
            is_apart: true,
        })
    }

    /// Once a second: counts, and how the session is doing.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn tick(&mut self, session: &mut Session) -> Result<()> {
        if let Some(output) = &self.output {
            output.trim();
        }
        let lost = session.untold()?;
        self.has_skips = session.skips()? > 0;
        if self.screen.is_some() {
            let first = || self.shared.lock().containers.keys().next().copied();
            if let Some(chosen) = self.chosen.or_else(first) {
                session.publish_denials(chosen)?;
            }
            session.publish_counts(true)?;
        }
        if self.screen.is_some() {
            self.cost.begin(session);
        }
        let (now, cost) = (Timestamp::now(), self.cost.last());
        self.shared.lock().apply(Update::Status(Status { now, lost, cost }));
        Ok(())
    }

    /// The time is over for which it was measured what tracing costs.
    pub fn measured(&mut self, session: &Session) {
        self.cost.end(session);
    }

    /// A container was chosen: it is counted.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn choose(&mut self, session: &mut Session, id: RecordingId) -> Result<()> {
        self.chosen = Some(id);
        session.count(id)?;
        session.publish_denials(id)?;
        Ok(session.publish_counts(false)?)
    }
}

/// What is to be done for the view.
pub enum ViewRequest {
    /// A key asks for it.
    Key(Action),
    /// [`Watch::measured`] is to be called.
    Measured,
}

/// What is to be done next. Never anything where nobody watches.
pub async fn next(watch: &mut Option<Watch>) -> ViewRequest {
    let Some(watch) = watch else { return std::future::pending().await };
    let due = watch.cost.due();
    tokio::select! {
        Some(action) = watch.actions.recv() => ViewRequest::Key(action),
        () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => ViewRequest::Measured,
        else => std::future::pending().await,
    }
}

impl Watch {
    /// Gives the terminal back, and prints what COMMAND has printed. Lines go on; what is said meanwhile waits for that.
    pub fn leave_screen(&mut self) {
        if self.screen.take().is_some() {
            match self.output.take() {
                Some(output) => self.printing = Some(self.printer.output(output)),
                None => self.printer.release(),
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.leave_screen();
        drop(self.printing.take());
        if let Some(lines) = &self.lines {
            lines.finish();
        }
        self.printer.release();
    }
}
