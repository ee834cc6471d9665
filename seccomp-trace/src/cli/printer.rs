//! What people are told: all on stderr. What a program reads goes to stdout, by [`Printer::data`].
//! Everything is sanitised here, so that no name from a container reaches the terminal as it is.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anstream::{AutoStream, adapter::strip_str};
use anstyle::{AnsiColor, Style};
use clap::ColorChoice;

use super::stream_writer::{PATIENCE, StreamWriter};
use crate::launch::Ends;
use crate::live::output::Output;
use crate::recording::{VDSO, Warning};
use crate::report::text::sanitise_message;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();

/// What [`Printer::warn_once`] has said.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Who takes what is said meanwhile, and what was said: see [`Printer::redirect`].
static DIVERTED: Mutex<Option<Diverted>> = Mutex::new(None);

/// Lines that are kept, at most, while something else has the terminal.
const KEPT: usize = 1000;

/// Who writes to stderr; none where it is closed, or no thread can be made.
static STDERR: OnceLock<Option<StreamWriter>> = OnceLock::new();

/// Bytes that wait for a reader of stderr at most.
const WAITING: usize = 1 << 20;

/// How often it is looked for a signal while stdout is not read.
const LOOK: Duration = Duration::from_millis(20);

struct Diverted {
    take: Box<dyn FnMut(&str) + Send>,
    is_kept: bool,
    /// With their styles.
    lines: VecDeque<String>,
    /// How many there was no room for.
    dropped: u64,
}

/// Tells people what happens, as much as they want to know.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    verbosity: Verbosity,
    color: anstream::ColorChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

impl Printer {
    /// One that shows errors and warnings always, notes unless `quiet`, and details only if
    /// `verbose`.
    pub fn new(quiet: bool, verbose: bool, color: ColorChoice) -> Self {
        let verbosity = match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let color = match color {
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
            ColorChoice::Auto => anstream::ColorChoice::Auto,
        };
        Self { verbosity, color }
    }

    /// True where details are wanted.
    pub fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Why the command failed, with its causes.
    pub fn error(&self, error: &anyhow::Error) {
        // The kernel's verifier says many lines: none of the further ones may look like one of ours.
        let lines: Vec<_> = with_causes(error).lines().map(sanitise_message).collect();
        self.labelled(ERROR, "error", &lines.join("\n    "));
    }

    /// Something that may make the result wrong.
    pub fn warn(&self, message: impl Display) {
        self.line(WARNING, "warning", &message.to_string());
    }

    /// A warning that more than one part of the program comes upon: a recording's, and that of the profile made of it. Said
    /// the first time only.
    pub fn warn_once(&self, message: &str) {
        let is_new = SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(message.to_owned());
        if is_new {
            self.warn(message);
        }
    }

    /// A recording's or a profile's warning, once. What is true of almost every recording is not said if quiet.
    pub fn tell(&self, warning: &Warning) {
        if warning.code != VDSO || self.verbosity > Verbosity::Quiet {
            self.warn_once(&warning.message);
        }
    }

    /// Something good to know. Not if quiet.
    pub fn note(&self, message: impl Display) {
        if self.verbosity > Verbosity::Quiet {
            self.line(NOTE, "note", &message.to_string());
        }
    }

    /// A detail, without a label. Only if verbose.
    pub fn verbose(&self, message: impl Display) {
        if self.is_verbose() {
            self.raw(&sanitise_message(&message.to_string()));
        }
    }

    /// Data to stdout, all of it. A reader who has gone away (a broken pipe) is no error.
    ///
    /// # Errors
    /// Where stdout can't be written, such as on a full disk; and where we are asked to end while nobody reads it.
    pub fn data(&self, data: &[u8]) -> io::Result<()> {
        let data = data.to_vec();
        let written = until_asked_to_end(move || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&data).and_then(|()| stdout.flush())
        });
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    fn line(&self, style: Style, label: &str, message: &str) {
        self.labelled(style, label, &sanitise_message(message));
    }

    fn labelled(&self, style: Style, label: &str, message: &str) {
        self.raw(&format!("{style}{label}:{style:#} {message}"));
    }

    /// From now on what is said goes to `take`, without styles, because something else has stderr. Where `is_kept`, it is
    /// printed at the end, too.
    pub fn redirect(&self, is_kept: bool, take: Box<dyn FnMut(&str) + Send>) {
        *diverted() = Some(Diverted { take, is_kept, lines: VecDeque::new(), dropped: 0 });
    }

    /// Stderr is ours again.
    pub fn release(&self) {
        let Some(Diverted { lines, dropped, .. }) = diverted().take() else { return };
        if dropped > 0 {
            self.warn(format!("the first {dropped} messages are not kept"));
        }
        lines.iter().for_each(|line| self.raw(line));
    }

    /// Prints what COMMAND has printed to where it would have: it is COMMAND's own, colours and all. Goes on until the
    /// value that comes back is dropped.
    pub fn output(&self, output: Output) -> Printing {
        if output.dropped() > 0 {
            self.note(format!("the first {} bytes of what COMMAND printed are not kept", output.dropped()));
        }
        // Nobody is left to be told that stdout is closed.
        let copy = move || until_asked_to_end(move || output.copy(&mut io::stdout().lock()));
        Printing(thread::Builder::new().spawn(copy).ok())
    }

    /// Waits until stderr has all that was said, as long as it is read.
    pub fn finish(&self) {
        if let Some(Some(stderr)) = STDERR.get() {
            stderr.flush(PATIENCE);
        }
    }

    /// When colours are wanted.
    pub fn color(&self) -> anstream::ColorChoice {
        self.color
    }

    fn raw(&self, line: &str) {
        if let Some(Diverted { take, is_kept, lines, dropped }) = &mut *diverted() {
            take(&strip_str(line).to_string());
            if *is_kept {
                if lines.len() == KEPT {
                    lines.pop_front();
                    *dropped += 1;
                }
                lines.push_back(line.to_owned());
            }
            return;
        }
        let color = match self.color {
            anstream::ColorChoice::Auto => AutoStream::choice(&io::stderr()),
            color => color,
        };
        let mut line =
            if color == anstream::ColorChoice::Never { strip_str(line).to_string() } else { line.to_owned() };
        line.push('\n');
        match STDERR.get_or_init(stderr) {
            Some(stderr) => stderr.send_in_order(line),
            // Nobody is left to be told that stderr is closed.
            None => _ = io::stderr().write_all(line.as_bytes()),
        }
    }
}

fn stderr() -> Option<StreamWriter> {
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?);
    let gap = |count| {
        format!("warning: {count} messages before this one are missing: nothing read stderr meanwhile\n")
    };
    StreamWriter::start("stderr", stderr, WAITING, gap).ok()
}

/// What COMMAND has printed is being printed. Dropped, it waits for that, unless we are asked to end.
pub struct Printing(Option<JoinHandle<io::Result<()>>>);

impl Drop for Printing {
    fn drop(&mut self) {
        let _ = self.0.take().map(JoinHandle::join);
    }
}

/// Does something that waits for a reader, who may never come: a signal that asks us to end is an error then.
fn until_asked_to_end(write: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let ends = Ends::until_now();
    let (tell, told) = channel();
    thread::Builder::new().name("stdout".into()).spawn(move || tell.send(write()))?;
    loop {
        match told.recv_timeout(LOOK) {
            Ok(written) => return written,
            Err(RecvTimeoutError::Timeout) if !ends.has_more() => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err(io::Error::other("interrupted while nothing read it"));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("its thread has ended")),
        }
    }
}

fn diverted() -> MutexGuard<'static, Option<Diverted>> {
    DIVERTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error with its causes, each once: many a message has its cause in it already.
fn with_causes(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::with_causes;
    use crate::inspect::cgroup;

    #[test]
    fn no_cause_is_said_twice() {
        let of_process = cgroup::of_process(0).context("--pid 0: no such process").unwrap_err();
        assert_eq!(with_causes(&of_process).matches("/proc/0").count(), 1, "{of_process:#}");
        let plain = anyhow!("the disk is full").context("x can't be written").context("nothing is saved");
        assert_eq!(with_causes(&plain), "nothing is saved: x can't be written: the disk is full");
    }
}
