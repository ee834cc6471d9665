//! Readers that stall, come back, and go away.

use std::io::{PipeReader, Read as _, pipe};
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_setfl};

use super::*;

fn gap(count: u64) -> String {
    format!("({count} dropped)\n")
}

fn writer(limit: usize) -> (PipeReader, StreamWriter) {
    let (reader, writer) = pipe().unwrap();
    let file = File::from(OwnedFd::from(writer));
    (reader, StreamWriter::start("test", file, limit, gap).unwrap())
}

/// More than a pipe holds.
const FULL: usize = 1 << 20;

#[test]
fn a_piece_in_order_is_written_before_it_returns() {
    let (mut reader, writer) = writer(1000);
    for piece in ["one\n", "two\n"] {
        writer.send_in_order(piece.to_owned());
        let mut read = [0; 4];
        fcntl_setfl(&reader, OFlags::NONBLOCK).unwrap();
        reader.read_exact(&mut read).unwrap();
        assert_eq!(read, piece.as_bytes());
    }
}

#[test]
fn a_reader_who_stalls_costs_one_wait_and_what_was_dropped_is_said_when_he_reads_again() {
    let (mut reader, writer) = writer(100);
    writer.send(format!("{}\n", "x".repeat(FULL)));
    while writer.queue.lock().bytes > 0 {
        thread::yield_now();
    }
    let start = Instant::now();
    for number in 0..1000 {
        writer.send_in_order(format!("{number}\n"));
    }
    let waited = start.elapsed();
    assert!(waited >= PROMPT && waited < 10 * PROMPT, "{waited:?}");
    let start = Instant::now();
    writer.flush(Duration::from_millis(100));
    assert!(start.elapsed() >= Duration::from_millis(100));

    // 25 of 4 bytes are kept.
    let kept: String = (975..1000).map(|number| format!("{number}\n")).collect();
    let expected = format!("(975 dropped)\n{kept}");
    let mut all = vec![0; FULL + 1 + expected.len()];
    reader.read_exact(&mut all).unwrap();
    assert_eq!(String::from_utf8_lossy(&all[FULL + 1..]), expected);
    writer.flush(PATIENCE);
    // He reads: it is waited for again, and nothing more is missing.
    writer.send_in_order("end\n".to_owned());
    fcntl_setfl(&reader, OFlags::NONBLOCK).unwrap();
    let mut end = [0; 4];
    reader.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"end\n");
}

#[test]
fn a_slow_reader_gets_all_however_long_it_takes() {
    let (mut reader, writer) = writer(10 * FULL);
    let pieces: Vec<_> = (0..20).map(|number| format!("{number}{}\n", "x".repeat(FULL / 10))).collect();
    pieces.iter().for_each(|piece| writer.send(piece.clone()));
    let expected = pieces.concat();
    let length = expected.len();
    let reading = thread::spawn(move || {
        let mut all = vec![0; length];
        for part in all.chunks_mut(length / 10) {
            thread::sleep(Duration::from_millis(60));
            reader.read_exact(part).unwrap();
        }
        all
    });
    // Less than all of it takes.
    writer.flush(Duration::from_millis(300));
    assert!(reading.join().unwrap() == expected.into_bytes());
}

#[test]
fn a_reader_who_has_gone_holds_up_nothing() {
    let (reader, writer) = writer(100);
    drop(reader);
    let start = Instant::now();
    (0..100).for_each(|_| writer.send_in_order("to nobody\n".to_owned()));
    writer.flush(PATIENCE);
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_stream_that_does_not_wait_gets_all_of_it() {
    let (mut reader, to) = pipe().unwrap();
    let to = File::from(OwnedFd::from(to));
    fcntl_setfl(&to, OFlags::NONBLOCK).unwrap();
    let writer = StreamWriter::start("test", to, 10 * FULL, gap).unwrap();
    writer.send("x".repeat(FULL));
    let mut all = vec![0; FULL];
    reader.read_exact(&mut all).unwrap();
    assert!(all.iter().all(|byte| *byte == b'x'));
}
