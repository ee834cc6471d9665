//! Text to a stream that nobody may be reading: it goes through a bounded queue and a thread, so that a reader who stalls
//! holds up nothing. What finds no room is counted, and said once there is room again.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// How long [`StreamWriter::flush`] waits for a reader who takes nothing.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long a piece is waited for that comes first in an idle queue. Signals are answered within 100 ms.
const PROMPT: Duration = Duration::from_millis(50);

/// A handle of the thread that writes. It ends with the last handle.
#[derive(Debug)]
pub struct StreamWriter {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes that wait at most.
    limit: usize,
    /// What stands for pieces that were dropped.
    gap: fn(u64) -> String,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<String>,
    /// Of all `pieces`.
    bytes: usize,
    /// Pieces that had no room, and stood before the first of `pieces`.
    dropped: u64,
    /// Pieces that were written, and those that were given up.
    done: u64,
    /// Pieces that were sent.
    sent: u64,
    /// Somebody has waited in vain, and not all is written yet.
    is_stalled: bool,
    /// No handle is left, or no reader.
    is_over: bool,
}

impl StreamWriter {
    /// Starts the thread. At most `limit` bytes wait for the reader; what is longer than that in time drops the oldest, and
    /// `gap` says so in their place.
    ///
    /// # Errors
    /// Where no thread can be made.
    pub fn start(name: &str, to: File, limit: usize, gap: fn(u64) -> String) -> io::Result<Self> {
        let queue = Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), limit, gap });
        let of_thread = Arc::clone(&queue);
        thread::Builder::new().name(name.to_owned()).spawn(move || of_thread.write_all(to))?;
        Ok(Self { queue })
    }

    /// Sends a piece, and waits for nothing.
    pub fn send(&self, piece: String) {
        self.queue.push(piece);
    }

    /// Sends a piece, and waits until it is written: for 50 ms, and not at all while the reader is known to stall. So what
    /// others write to the same place comes after it, wherever it is read.
    pub fn send_in_order(&self, piece: String) {
        let deadline = Instant::now() + PROMPT;
        let ticket = self.queue.push(piece);
        let mut state = self.queue.lock();
        while state.done < ticket && !state.is_over && !state.is_stalled {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.is_stalled = true;
                return;
            }
            state = self.queue.wait(state, left);
        }
    }

    /// Waits until all is written, or nothing of it was for `patience`.
    pub fn flush(&self, patience: Duration) {
        let mut state = self.queue.lock();
        let (mut done, mut since) = (state.done, Instant::now());
        while state.done < state.sent && !state.is_over {
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            state = self.queue.wait(state, left);
            if state.done != done {
                (done, since) = (state.done, Instant::now());
            }
        }
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        self.queue.lock().is_over = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Returns how many pieces were sent with it.
    fn push(&self, piece: String) -> u64 {
        let mut state = self.lock();
        state.sent += 1;
        if state.is_over {
            state.done = state.sent;
            return state.sent;
        }
        state.bytes += piece.len();
        state.pieces.push_back(piece);
        // The newest one stays: the last message is why the program failed.
        while state.bytes > self.limit && state.pieces.len() > 1 {
            let dropped = state.pieces.pop_front().map_or(0, |piece| piece.len());
            state.bytes -= dropped;
            state.dropped += 1;
            state.done += 1;
        }
        let sent = state.sent;
        drop(state);
        self.changed.notify_all();
        sent
    }

    /// Until the last handle is gone, or the reader.
    fn write_all(&self, mut to: File) {
        loop {
            let mut state = self.lock();
            let (gap, piece) = loop {
                if let Some(piece) = state.pieces.pop_front() {
                    state.bytes -= piece.len();
                    break (std::mem::take(&mut state.dropped), piece);
                }
                if state.is_over {
                    return;
                }
                state.is_stalled = false;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            let gap = if gap == 0 { String::new() } else { (self.gap)(gap) };
            let written = write(&mut to, gap.as_bytes()).and_then(|()| write(&mut to, piece.as_bytes()));
            let mut state = self.lock();
            state.done += 1;
            if written.is_err() {
                // Nobody is left to be told.
                *state = State { is_over: true, sent: state.sent, done: state.sent, ..State::default() };
            }
            let is_over = written.is_err();
            drop(state);
            self.changed.notify_all();
            if is_over {
                return;
            }
        }
    }
}

/// Writes all of it, also where somebody else has made the stream one that does not wait.
fn write(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match poll(&mut [PollFd::new(&*to, PollFlags::OUT)], None) {
                    Err(Errno::INTR) | Ok(_) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
