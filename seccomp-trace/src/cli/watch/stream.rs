//! Lines to a stream: who reads slowly holds up nobody.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cli::stream_writer::{PATIENCE, StreamWriter};
use crate::live::{
    lines::{Line, LineFormat},
    screen::Stream,
};

/// Bytes that wait for a reader at most: some 200,000 lines.
const WAITING: usize = 32 << 20;

/// A handle of it.
#[derive(Clone, Debug)]
pub struct LineWriter {
    writer: Arc<StreamWriter>,
    format: LineFormat,
    start: Timestamp,
}

impl LineWriter {
    /// Starts it.
    ///
    /// # Errors
    /// Where the stream is closed.
    pub fn start(stream: Stream, format: LineFormat) -> io::Result<Self> {
        let gap = match format {
            LineFormat::Text => |count| format!("warning: {}\n", missing(count)),
            LineFormat::Json => |count| {
                let line = Line::Message { text: missing(count) };
                line.format(LineFormat::Json, Timestamp::UNIX_EPOCH)
                    .map_or_else(String::new, |line| line + "\n")
            },
        };
        let writer = StreamWriter::start("lines", stream.open()?, WAITING, gap)?;
        Ok(Self { writer: Arc::new(writer), format, start: Timestamp::now() })
    }

    /// One line more.
    pub fn send(&self, line: Line) {
        if let Some(line) = line.format(self.format, self.start) {
            // Whole lines: others write there, too.
            self.writer.send(line + "\n");
        }
    }

    /// Waits until all is written, as long as it is read.
    pub fn finish(&self) {
        self.writer.flush(PATIENCE);
    }
}

fn missing(count: u64) -> String {
    format!("{count} lines before this one are missing: nothing read them in time")
}
