//! Pipes with a name.

use super::{END, Traced, command, fill, goes_on, has_getitimer, is_profile, stderr};
use crate::{
    common::{TestEnv, eventually},
    support::{self, Need, Trial},
};
use anyhow::{Result, anyhow, ensure};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat},
    process::Signal,
};
use std::{
    fs::{self, File, OpenOptions},
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    thread,
};
use tempfile::NamedTempFile;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test(
            "a_full_fifo_for_stderr_holds_up_neither_signals_nor_checkpoints_nor_the_end",
            needs,
            || stderr(|case| full(&case.folder.path().join("fifo"))),
        ),
        support::test("a_fifo_for_the_profile_that_nobody_opens_is_an_error_at_the_end", needs, unopened),
        support::test("a_full_fifo_for_the_profile_is_waited_for_until_asked_to_end", needs, unread),
        support::test("a_full_fifo_for_the_profile_that_is_read_has_it_whole", needs, read),
    ]
}

fn make(path: &Path) -> Result<()> {
    Ok(mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?)
}

/// Both ends of one that has no room.
fn full(path: &Path) -> Result<(File, File)> {
    make(path)?;
    // Opened with nobody at the other end, it would wait for one.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let reader = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    fcntl_setfl(&reader, OFlags::empty())?;
    let mut writer = OpenOptions::new().write(true).open(path)?;
    fill(&mut writer)?;
    Ok((reader, writer))
}

/// `run` with one in the profile's place, until COMMAND is asked to end: until then it holds up nothing.
fn run(case: &TestEnv, stderr: &NamedTempFile) -> Result<Traced> {
    let traced = Traced(command(case, &[])?.stderr(stderr.reopen()?).spawn()?);
    goes_on(case, &traced)?;
    Ok(traced)
}

/// By a file's flags in /proc, which are octal.
fn is_for_writing(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| OFlags::from_bits_retain(flags).contains(OFlags::WRONLY))
}

/// Waits until the tracer has opened what is in the profile's place to write it.
fn until_opened(case: &TestEnv, traced: &Traced) -> Result<()> {
    let (process, profile) = (format!("/proc/{}", traced.0.id()), case.profile_path());
    eventually("the profile is opened", || {
        fs::read_dir(format!("{process}/fd")).ok()?.flatten().find(|file| {
            let info = format!("{process}/fdinfo/{}", file.file_name().display());
            let is_written = || fs::read_to_string(info).is_ok_and(|info| is_for_writing(&info));
            fs::read_link(file.path()).is_ok_and(|path| path == profile) && is_written()
        })
    })
    .map(drop)
}

/// COMMAND's own status, whatever became of the profile; the recording is whole, and nothing else is left. Returns what it said.
fn ends(case: &TestEnv, mut traced: Traced, stderr: &NamedTempFile) -> Result<String> {
    let (status, said) = (traced.ends_within(END)?, fs::read_to_string(stderr.path())?);
    ensure!(status.code() == Some(128 + 15), "{status:?}: {said}");
    ensure!(has_getitimer(&case.recording()?), "the recording is not whole");
    case.is_clean()?;
    Ok(said)
}

fn unopened() -> Result<()> {
    let (case, stderr) = (TestEnv::new()?, NamedTempFile::new()?);
    make(&case.profile_path())?;
    let traced = run(&case, &stderr)?;
    let said = ends(&case, traced, &stderr)?;
    ensure!(said.contains("error: ") && said.contains("profile.json: nobody reads it"), "{said}");
    Ok(())
}

fn unread() -> Result<()> {
    let (case, stderr) = (TestEnv::new()?, NamedTempFile::new()?);
    let _both = full(&case.profile_path())?;
    let mut traced = run(&case, &stderr)?;
    until_opened(&case, &traced)?;
    // A signal may come before it waits.
    eventually("it ends", || {
        let _ = traced.signal(Signal::TERM);
        traced.0.try_wait().transpose()
    })??;
    let said = ends(&case, traced, &stderr)?;
    ensure!(said.contains("error: ") && said.contains("interrupted while nothing read it"), "{said}");
    Ok(())
}

fn read() -> Result<()> {
    let (case, stderr) = (TestEnv::new()?, NamedTempFile::new()?);
    let (mut reader, writer) = full(&case.profile_path())?;
    let traced = run(&case, &stderr)?;
    until_opened(&case, &traced)?;
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all)
    });
    let said = ends(&case, traced, &stderr)?;
    // Its end came not before.
    drop(writer);
    is_profile(&reading.join().map_err(|_| anyhow!("the reader panicked"))??)?;
    ensure!(!said.contains("error: "), "{said}");
    Ok(())
}
