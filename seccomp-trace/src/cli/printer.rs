//! What people are told: all on stderr. What a program reads goes to stdout, by [`Printer::data`].
//! Everything is sanitised here, so that no name from a container reaches the terminal as it is.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anstream::{AutoStream, adapter::strip_str};
use anstyle::{AnsiColor, Style};
use clap::ColorChoice;

use crate::live::output::Output;
use crate::recording::{VDSO, Warning};
use crate::report::text::sanitise_message;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();

/// What [`Printer::warn_once`] has said.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Who takes what is said meanwhile, and what was said: see [`Printer::divert`].
static DIVERTED: Mutex<Option<Diverted>> = Mutex::new(None);

/// Lines that are kept, at most, while something else has the terminal.
const KEPT: usize = 1000;

struct Diverted {
    take: Box<dyn FnMut(&str) + Send>,
    is_kept: bool,
    /// With their styles.
    lines: VecDeque<String>,
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

    /// Data to stdout. A reader who has gone away (a broken pipe) is no error.
    ///
    /// # Errors
    /// Where stdout can't be written, such as on a full disk.
    pub fn data(&self, data: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(data).and_then(|()| stdout.flush()) {
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
    pub fn divert(&self, is_kept: bool, take: Box<dyn FnMut(&str) + Send>) {
        *diverted() = Some(Diverted { take, is_kept, lines: VecDeque::new() });
    }

    /// Stderr is ours again.
    pub fn release(&self) {
        let lines = diverted().take().map(|diverted| diverted.lines).unwrap_or_default();
        lines.iter().for_each(|line| self.raw(line));
    }

    /// What COMMAND has printed, to where it would have: it is COMMAND's own, colours and all.
    pub fn output(&self, output: &Output) {
        if output.dropped() > 0 {
            self.note(format!("the first {} bytes of what COMMAND printed are not kept", output.dropped()));
        }
        // Nobody is left to be told that stdout is closed.
        let _ = output.copy(&mut io::stdout().lock());
    }

    /// When colours are wanted.
    pub fn color(&self) -> anstream::ColorChoice {
        self.color
    }

    fn raw(&self, line: &str) {
        if let Some(Diverted { take, is_kept, lines }) = &mut *diverted() {
            take(&strip_str(line).to_string());
            if *is_kept {
                if lines.len() == KEPT {
                    lines.pop_front();
                }
                lines.push_back(line.to_owned());
            }
            return;
        }
        // Nobody is left to be told that stderr is closed.
        let _ = writeln!(AutoStream::new(io::stderr().lock(), self.color), "{line}");
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
