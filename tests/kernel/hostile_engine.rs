//! An engine that says too much, too slowly, or nonsense: seccomp-trace says so, once, with its name, and takes neither
//! memory nor time without a bound.

use crate::{
    common::{LIMIT, TestEnv, eventually, expect},
    support::{self, Need, Running, Trial},
};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::Output,
    thread,
    time::{Duration, Instant},
};

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel];
    vec![
        support::test("an_engine_whose_list_has_no_end_is_an_error", needs, || {
            refused(
                Engine { list: Says::Forever("{\"Id\":\"0\"},"), events: Says::Nothing },
                "larger than 32 MiB",
            )
        }),
        support::test("an_engine_that_lists_more_than_there_can_be_is_an_error", needs, || {
            refused(
                Engine { list: Says::Times("[", "{},", 70_000, "{}]"), events: Says::Nothing },
                "more than 65536",
            )
        }),
        support::test("an_engine_whose_list_comes_too_slowly_is_an_error", needs, || {
            refused(
                Engine { list: Says::Slowly("{\"Id\":\"0\"},"), events: Says::Nothing },
                "no answer in time",
            )
        }),
        support::test("an_engine_whose_list_is_of_no_containers_is_an_error", needs, || {
            refused(Engine { list: Says::Times("", "[7]", 1, ""), events: Says::Nothing }, "invalid type")
        }),
        support::test("a_list_of_much_beside_containers_takes_little", needs, much),
        support::test("events_that_are_nonsense_are_one_outage", needs, || {
            away(Says::Times("", "nonsense\n{\"Action\":7}\n", 100, ""), "an event of it can't be read")
        }),
        support::test("an_event_without_an_end_is_an_outage", needs, || {
            away(Says::Forever("nonsense "), "what it says is larger than 8 MiB")
        }),
    ]
}

/// What the program takes at most, in bytes. The largest list is 32 MiB.
const MEMORY: u64 = 256 << 20;

/// How long it may take. An answer is waited for 10 seconds; the rest is this machine.
const TIME: Duration = Duration::from_secs(40);

/// What comes after the head of an answer.
#[derive(Clone, Copy)]
enum Says {
    /// Nothing, and the connection stays open.
    Nothing,
    /// This, so many times, between two others.
    Times(&'static str, &'static str, usize, &'static str),
    /// A list of this, which has no end.
    Forever(&'static str),
    /// The same, a few bytes a second.
    Slowly(&'static str),
}

impl Says {
    fn write(self, to: &mut UnixStream) -> io::Result<()> {
        match self {
            Self::Nothing => loop {
                thread::sleep(Duration::from_secs(3600));
            },
            Self::Times(before, part, times, after) => {
                to.write_all([before, &part.repeat(times), after].concat().as_bytes())
            }
            Self::Forever(part) => {
                let many = part.repeat(10_000);
                to.write_all(b"[")?;
                loop {
                    to.write_all(many.as_bytes())?;
                }
            }
            Self::Slowly(part) => {
                to.write_all(b"[")?;
                loop {
                    to.write_all(part.as_bytes())?;
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }
}

/// What it answers to what matters here.
#[derive(Clone, Copy)]
struct Engine {
    list: Says,
    events: Says,
}

impl Engine {
    /// Answers at this socket, to the end of the tests.
    fn start(self, socket: &Path) -> Result<()> {
        let listener = UnixListener::bind(socket)?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who has heard enough goes away.
                thread::spawn(move || self.answer(stream).ok());
            }
        });
        Ok(())
    }

    fn answer(self, mut stream: UnixStream) -> io::Result<()> {
        let mut request = [0; 4096];
        let length = stream.read(&mut request)?;
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        let path = request.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let is = |end: &str| path.ends_with(end);
        let has_it = ["/_ping", "/version", "/info", "/containers/json", "/events"].into_iter().any(is);
        let status = if has_it { "200 OK" } else { "404 Not Found" };
        write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n\r\n")?;
        match path {
            _ if is("/containers/json") => self.list.write(&mut stream),
            _ if is("/events") => self.events.write(&mut stream),
            _ => stream.write_all(br#"{"Version":"99.0","ApiVersion":"1.43","message":"no such container"}"#),
        }
    }
}

/// `record` of all that this engine runs.
struct Recording {
    case: TestEnv,
    running: Running,
    /// The most memory that it was seen to take.
    peak: u64,
}

impl Recording {
    fn start(engine: Engine) -> Result<Self> {
        let case = TestEnv::new()?;
        let socket = case.folder.path().join("engine.sock");
        engine.start(&socket)?;
        let results = case.file("results");
        fs::create_dir(&results)?;
        let mut program = case.program(["record", "--engine", "docker", "--all", "--output-dir", &results]);
        program.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        let running = Running::start(&mut program)?;
        Ok(Self { case, running, peak: 0 })
    }

    fn look(&mut self) -> Result<()> {
        let pid = self.running.pid().as_raw_nonzero();
        // None of one that has ended.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            self.peak = self.peak.max(peak.trim().trim_end_matches(" kB").parse::<u64>()? << 10);
        }
        Ok(())
    }

    fn until_said(&mut self, words: &str) -> Result<()> {
        let what = format!("it says {words:?}");
        eventually(&what, || {
            self.look().ok()?;
            let (_, said) = self.running.printed().ok()?;
            (said.contains(words) || self.running.has_ended().unwrap_or(true)).then_some(())
        })?;
        let (_, said) = self.running.printed()?;
        ensure!(said.contains(words), "{words:?} is not in: {said}");
        Ok(())
    }

    /// Looks at what it takes, until it ends or for this time.
    fn watch(&mut self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time && !self.running.has_ended()? {
            self.look()?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for its end; an error where it took more than [`MEMORY`].
    fn finish(mut self) -> Result<Output> {
        self.watch(TIME)?;
        ensure!(self.peak > 0 && self.peak < MEMORY, "it took {} MiB", self.peak >> 20);
        let output = self.running.finish(LIMIT)?;
        self.case.is_clean()?;
        Ok(output)
    }
}

/// It ends with an error that has these words, and the engine's name.
fn refused(engine: Engine, words: &str) -> Result<()> {
    let start = Instant::now();
    let output = Recording::start(engine)?.finish()?;
    ensure!(start.elapsed() < TIME, "{:?}", start.elapsed());
    expect(&output, 2, &["error: docker", words])
}

/// Nothing of it is a container's name or label.
fn much() -> Result<()> {
    let list = Says::Times(r#"[{"Id":"0","Mounts":["#, "{},", 5_000_000, "{}]}]");
    let mut recording = Recording::start(Engine { list, events: Says::Nothing })?;
    recording.until_said("note: ready")?;
    recording.running.signal(Signal::INT)?;
    let output = recording.finish()?;
    ensure!(output.status.code().is_some(), "{:?}", output.status);
    Ok(())
}

/// The engine is away, which is said once however often it is tried again; what runs is recorded on.
fn away(events: Says, words: &str) -> Result<()> {
    let mut recording = Recording::start(Engine { list: Says::Times("", "[]", 1, ""), events })?;
    recording.until_said("note: ready")?;
    let words = format!("warning: lost the connection to docker ({words}");
    recording.until_said(&words)?;
    // It is tried again after 0.1, 0.3, 0.7, 1.5, and 3.1 seconds.
    recording.watch(Duration::from_secs(4))?;
    let interrupted = Instant::now();
    recording.running.signal(Signal::INT)?;
    let output = recording.finish()?;
    ensure!(interrupted.elapsed() < Duration::from_secs(10), "{:?}", interrupted.elapsed());
    let said = crate::common::stderr(&output);
    ensure!(said.matches("lost the connection to docker").count() == 1, "{said}");
    let code = output.status.code().context("a signal has ended it")?;
    ensure!(code == 0 || code == 2, "{code}: {said}");
    Ok(())
}
