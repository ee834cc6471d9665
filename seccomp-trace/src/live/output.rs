//! What COMMAND prints while the picture has the terminal: kept, as much of it as a terminal would keep.

use std::{
    collections::VecDeque,
    io::Read,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes that are kept, at most: the last ones.
pub const KEPT: usize = 4 << 20;

/// A handle of what is kept.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: VecDeque<u8>,
    dropped: u64,
}

impl Output {
    /// Keeps all that comes, to its end. Whoever prints it never waits for a reader.
    pub fn keep(&self, mut from: impl Read) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => self.push(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Keeps one piece more.
    pub fn push(&self, bytes: &[u8]) {
        let mut kept = self.lock();
        kept.bytes.extend(bytes);
        let over = kept.bytes.len().saturating_sub(KEPT);
        kept.bytes.drain(..over);
        kept.dropped += over as u64;
    }

    /// How many bytes came.
    #[must_use]
    pub fn len(&self) -> u64 {
        let kept = self.lock();
        kept.dropped + kept.bytes.len() as u64
    }

    /// Has nothing come?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last so many lines, as they came: hostile, with colours and all.
    #[must_use]
    pub fn tail(&self, lines: usize) -> Vec<String> {
        let kept = self.lock();
        let mut from = kept.bytes.len().saturating_sub(lines.saturating_mul(4096));
        let mut bytes: Vec<u8> = kept.bytes.range(from..).copied().collect();
        from = bytes
            .iter()
            .enumerate()
            .rev()
            .skip(1)
            .filter(|(_, byte)| **byte == b'\n')
            .nth(lines.saturating_sub(1))
            .map_or(0, |(at, _)| at + 1);
        bytes.drain(..from);
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }

    /// All that is kept, and how many bytes before it are not.
    #[must_use]
    pub fn take(&self) -> (Vec<u8>, u64) {
        let mut kept = self.lock();
        (std::mem::take(&mut kept.bytes).into(), kept.dropped)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_it_is_kept_and_the_rest_is_counted() {
        let output = Output::default();
        output.push(b"one\ntwo\nthree");
        assert_eq!(output.tail(2), ["two", "three"]);
        assert_eq!(output.tail(9), ["one", "two", "three"]);
        output.push(b"\n");
        assert_eq!(output.tail(1), ["three"]);
        output.keep(std::io::repeat(b'x').take(KEPT as u64));
        assert_eq!(output.len(), KEPT as u64 + 14);
        let (bytes, dropped) = output.take();
        assert_eq!((bytes.len(), dropped), (KEPT, 14));
    }
}
