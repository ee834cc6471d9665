//! Readers of our streams who stall: a full pipe, a terminal that takes nothing. They hold up nobody.

use crate::{
    common::{Cgroup, LIMIT, TestEnv, bare, eventually},
    support::{self, Need, Trial},
};
use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, kill_process},
    pty,
    termios::{Winsize, tcsetwinsize},
};
use seccomp_trace::recording::Recording;
use serde_json::Value;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

mod fifo;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    let mut tests = vec![
        support::test("a_full_stderr_holds_up_neither_signals_nor_checkpoints_nor_the_end", needs, || {
            stderr(|_| full())
        }),
        support::test("a_stderr_that_is_read_again_has_all_that_was_said", needs, read_again),
        support::test("a_full_stdout_has_the_whole_profile_or_is_an_error", needs, stdout),
        support::test("lines_that_nobody_reads_hold_up_nothing", needs, lines),
        support::test("a_terminal_that_takes_nothing_holds_up_nothing", needs, terminal),
    ];
    tests.extend(fifo::tests());
    tests
}

/// Both ends of a pipe that has no room.
fn full() -> Result<(File, File)> {
    let (reader, writer) = io::pipe()?;
    let mut writer = File::from(OwnedFd::from(writer));
    fill(&mut writer)?;
    Ok((File::from(OwnedFd::from(reader)), writer))
}

/// Writes to it until it takes nothing more.
fn fill(to: &mut (impl io::Write + AsFd)) -> Result<()> {
    let flags = fcntl_getfl(&*to)?;
    fcntl_setfl(&*to, flags | OFlags::NONBLOCK)?;
    while to.write(&[b'x'; 4096]).is_ok() {}
    // Of pages, of which the last may have room for less.
    while to.write(b"x").is_ok() {}
    fcntl_setfl(&*to, flags)?;
    Ok(())
}

/// seccomp-trace beside the test. Dropped, it is killed.
struct Traced(Child);

impl Traced {
    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }

    fn ends_within(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("it has not ended after {limit:?}")
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// It waits for a reader for two seconds at its end, and for the terminal as long; the rest is this machine.
const END: Duration = Duration::from_secs(30);

/// Writes a byte to `got` for each SIGUSR1.
const COMMAND: &str = "trap 'printf . >>got' USR1; ./rare; touch ready; while :; do sleep 0.005; done";

fn command(case: &TestEnv, options: &[&str]) -> Result<Command> {
    bare(case, "rare", "call(__NR_getitimer, 0, 0, 0);")?;
    let words = case.run_words(&[], &["sh", "-c", COMMAND]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (subcommand, rest) = words.split_first().context("no words")?;
    let mut command = case.program([&[*subcommand], options, rest].concat());
    command.stdout(Stdio::null());
    Ok(command)
}

/// How long a signal takes to come to COMMAND, at best: other tests run beside this one.
fn signal_takes(case: &TestEnv, traced: &Traced) -> Result<Duration> {
    let got = || fs::metadata(case.file("got")).map_or(0, |got| got.len());
    let mut best = LIMIT;
    for _ in 0..10 {
        let (before, start) = (got(), Instant::now());
        traced.signal(Signal::USR1)?;
        eventually("COMMAND has the signal", || (got() > before).then_some(()))?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn has_getitimer(recording: &Recording) -> bool {
    recording.syscalls.values().flatten().any(|call| call.name.as_deref() == Some("getitimer"))
}

/// A checkpoint comes, and signals are answered. Returns once COMMAND has one that ends it.
fn goes_on(case: &TestEnv, traced: &Traced) -> Result<()> {
    eventually("COMMAND is ready", || fs::metadata(case.file("ready")).ok())?;
    let start = Instant::now();
    let partial = case.folder.path().join("recording.json.partial");
    eventually("a checkpoint", || has_getitimer(&Recording::read(&partial).ok()?).then_some(()))?;
    ensure!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let takes = signal_takes(case, traced)?;
    ensure!(takes < Duration::from_millis(100), "{takes:?}");
    traced.signal(Signal::TERM)
}

fn stderr(full: impl FnOnce(&TestEnv) -> Result<(File, File)>) -> Result<()> {
    let case = TestEnv::new()?;
    let (_reader, writer) = full(&case)?;
    let mut traced = Traced(command(&case, &["--verbose"])?.stderr(writer).spawn()?);
    goes_on(&case, &traced)?;
    let status = traced.ends_within(END)?;
    ensure!(status.code() == Some(128 + 15), "{status:?}");
    ensure!(has_getitimer(&case.recording()?), "the recording is not whole");
    case.is_clean()
}

/// What was read is a profile, after what filled the pipe.
fn is_profile(read: &[u8]) -> Result<()> {
    let json = read.iter().position(|byte| *byte != b'x').context("no profile")?;
    let profile: Value = serde_json::from_slice(&read[json..])?;
    ensure!(profile["defaultAction"] == "SCMP_ACT_ERRNO", "{profile}");
    Ok(())
}

fn read_again() -> Result<()> {
    let case = TestEnv::new()?;
    let (mut reader, writer) = full()?;
    let mut traced = Traced(command(&case, &["--verbose"])?.stderr(writer).spawn()?);
    eventually("COMMAND is ready", || fs::metadata(case.file("ready")).ok())?;
    let reading = thread::spawn(move || {
        let mut all = String::new();
        reader.read_to_string(&mut all).map(|_| all)
    });
    traced.signal(Signal::TERM)?;
    traced.ends_within(END)?;
    let said = reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    for words in ["allow getitimer: seen", "note: the recording of", "note: the profile allows"] {
        ensure!(said.contains(words), "{words:?} is not in {said}");
    }
    Ok(())
}

fn stdout() -> Result<()> {
    for is_read in [false, true] {
        let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
        let rare = bare(&case, "rare", "call(__NR_getitimer, 0, 0, 0);")?;
        let (mut reader, writer) = full()?;
        let recording = case.file("recording.json");
        let words = ["record", "--cgroup", &cgroup.path, "-o", "-", "--recording", &recording];
        let stderr = tempfile::NamedTempFile::new()?;
        let said = || fs::read_to_string(stderr.path()).unwrap_or_default();
        let mut command = case.program(words);
        let mut traced = Traced(command.stdout(writer).stderr(stderr.reopen()?).spawn()?);
        drop(command);
        eventually("it is ready", || said().contains("note: ready").then_some(()))?;
        let script = format!("echo 0 >{}; exec {rare}", cgroup.procs());
        support::run_with_timeout(Command::new("sh").args(["-c", &script]), LIMIT)?;
        traced.signal(Signal::INT)?;
        eventually("the recording is written", || fs::metadata(&recording).ok())?;
        if is_read {
            let mut all = Vec::new();
            reader.read_to_end(&mut all)?;
            is_profile(&all)?;
            ensure!(traced.ends_within(END)?.success(), "{}", said());
        } else {
            // It waits for the reader, until somebody wants it to end. Signals may come before it waits.
            thread::sleep(Duration::from_secs(3));
            ensure!(traced.0.try_wait()?.is_none(), "it has ended: {}", said());
            traced.signal(Signal::INT)?;
            let status = traced.ends_within(END)?;
            ensure!(status.code() == Some(2), "{status:?}: {}", said());
            ensure!(
                said().contains("can't write to stdout: interrupted while nothing read it"),
                "{}",
                said()
            );
        }
    }
    Ok(())
}

fn lines() -> Result<()> {
    let case = TestEnv::new()?;
    let (_reader, writer) = full()?;
    let mut traced = Traced(command(&case, &["--watch", "--watch-format", "json"])?.stderr(writer).spawn()?);
    eventually("COMMAND is ready", || fs::metadata(case.file("ready")).ok())?;
    is_not_held_up(&case, &mut traced)
}

/// A signal is answered, the end comes, and the recording is whole.
fn is_not_held_up(case: &TestEnv, traced: &mut Traced) -> Result<()> {
    let takes = signal_takes(case, traced)?;
    ensure!(takes < Duration::from_millis(100), "{takes:?}");
    traced.signal(Signal::TERM)?;
    traced.ends_within(END)?;
    ensure!(has_getitimer(&case.recording()?), "the recording is not whole");
    Ok(())
}

/// A terminal whose other side nobody reads.
fn terminal() -> Result<()> {
    let case = TestEnv::new()?;
    let master = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY)?;
    pty::grantpt(&master)?;
    pty::unlockpt(&master)?;
    let (ws_row, ws_col, ws_xpixel, ws_ypixel) = (24, 80, 0, 0);
    tcsetwinsize(&master, Winsize { ws_row, ws_col, ws_xpixel, ws_ypixel })?;
    let name = std::ffi::OsString::from_vec(pty::ptsname(&master, Vec::new())?.into_bytes());
    let open = || -> Result<File> { Ok(OpenOptions::new().read(true).write(true).open(&name)?) };
    let mut command = command(&case, &["--watch"])?;
    command.env("TERM", "xterm-256color").stdin(open()?).stderr(open()?);
    let mut traced = Traced(command.spawn()?);
    drop(command);
    eventually("COMMAND is ready", || fs::metadata(case.file("ready")).ok())?;
    fill(&mut open()?)?;
    // Until the next picture waits for room.
    thread::sleep(Duration::from_secs(2));
    is_not_held_up(&case, &mut traced)
}
