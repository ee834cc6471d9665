//! What COMMAND prints while the picture has the terminal. It goes to a file without a name, so COMMAND never waits for
//! us, and what it leaves behind can go on printing.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt as _,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::{FallocateFlags, OFlags, fallocate, fcntl_setfl};

/// Bytes that are kept, at least: the last ones.
pub const KEPT: u64 = 64 << 20;

/// The longest line that is shown, in bytes, and how many of them.
const LINE: usize = 4096;
const LINES: usize = 2000;

/// A handle of what is kept.
#[derive(Clone, Debug)]
pub struct Output(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    file: File,
    dropped: AtomicU64,
}

impl Output {
    /// Nothing printed yet.
    ///
    /// # Errors
    /// Where no temporary file can be made.
    pub fn new() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        fcntl_setfl(&file, OFlags::APPEND)?;
        Ok(Self(Arc::new(Kept { file, dropped: AtomicU64::new(0) })))
    }

    /// For COMMAND to print to.
    ///
    /// # Errors
    /// Where we have too many files open.
    pub fn stdio(&self) -> io::Result<Stdio> {
        Ok(self.0.file.try_clone()?.into())
    }

    /// Gives back the room of what is too long ago. A file system that can't keeps it all.
    pub fn trim(&self) {
        let (length, dropped) = (self.len(), self.dropped());
        // Not for every line.
        if length - dropped > 2 * KEPT {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if fallocate(&self.0.file, flags, dropped, length - KEPT - dropped).is_ok() {
                self.0.dropped.store(length - KEPT, Ordering::Relaxed);
            }
        }
    }

    /// How many bytes were printed.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Was nothing printed?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of the first bytes are not kept.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// The last so many lines, as they came: hostile, with colours and all. No more than 2,000.
    #[must_use]
    pub fn tail(&self, lines: usize) -> Vec<String> {
        let (length, lines) = (self.len(), lines.min(LINES));
        let from = length.saturating_sub((lines * LINE) as u64).max(self.dropped());
        let mut bytes = vec![0; usize::try_from(length - from).unwrap_or(0)];
        if self.0.file.read_exact_at(&mut bytes, from).is_err() {
            return Vec::new();
        }
        let text = String::from_utf8_lossy(&bytes);
        let all = text.lines();
        let skipped = all.clone().count().saturating_sub(lines);
        all.skip(skipped).map(str::to_owned).collect()
    }

    /// Prints all that is kept, as it came.
    ///
    /// # Errors
    /// Where it can't be read or printed.
    pub fn copy(&self, to: &mut impl Write) -> io::Result<()> {
        let mut at = self.dropped();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = self.0.file.read_at(&mut buffer, at)?;
            if count == 0 {
                return to.flush();
            }
            to.write_all(buffer.get(..count).unwrap_or_default())?;
            at += count as u64;
        }
    }
}

#[cfg(test)]
impl Output {
    /// As COMMAND would.
    pub(super) fn print(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0.file).write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_last_of_it_is_kept_and_the_rest_is_counted() {
        let output = Output::new().unwrap();
        assert!(output.is_empty());
        output.print(b"one\ntwo\nthree").unwrap();
        assert_eq!(output.tail(2), ["two", "three"]);
        assert_eq!(output.tail(9), ["one", "two", "three"]);
        output.print(b"\n").unwrap();
        assert_eq!(output.tail(1), ["three"]);
        let mut all = Vec::new();
        output.copy(&mut all).unwrap();
        assert_eq!(all, b"one\ntwo\nthree\n");
        io::copy(&mut io::repeat(b'x').take(2 * KEPT), &mut &output.0.file).unwrap();
        output.trim();
        assert_eq!((output.len(), output.dropped()), (2 * KEPT + 14, KEPT + 14));
        all.clear();
        output.copy(&mut all).unwrap();
        assert_eq!(all.len() as u64, KEPT);
        assert!(all.iter().all(|byte| *byte == b'x'));
    }
}
