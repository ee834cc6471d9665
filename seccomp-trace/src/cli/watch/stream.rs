//! Lines to a stream, by a thread of its own: who reads slowly holds up nobody.

use std::{
    io::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
};

use jiff::Timestamp;

use crate::live::{
    lines::{Line, LineFormat},
    screen::Stream,
};

/// A handle of it. There are as many lines as there are first sightings and denials, and no more.
#[derive(Clone, Debug)]
pub struct LineWriter {
    /// None is the end: others still have handles then.
    lines: Sender<Option<Line>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl LineWriter {
    /// Starts it.
    ///
    /// # Errors
    /// Where the stream is closed.
    pub fn start(stream: Stream, format: LineFormat) -> std::io::Result<Self> {
        let mut to = stream.open()?;
        let start = Timestamp::now();
        let (lines, all) = channel::<Option<Line>>();
        let write = move || {
            for line in all.into_iter().map_while(|line| line) {
                let Some(mut line) = line.format(format, start) else { continue };
                line.push('\n');
                // Whole lines: others write there, too. A reader who has gone away is no error.
                if to.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("lines".into()).spawn(write)?;
        Ok(Self { lines, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// One line more.
    pub fn send(&self, line: Line) {
        let _ = self.lines.send(Some(line));
    }

    /// Waits until all is written.
    pub fn finish(&self) {
        let _ = self.lines.send(None);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}
