//! Programs that are measured from outside.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    mem,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
};

/// Runs a command to its good end, with our stderr alone.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| command.get_program().display().to_string())?;
    ensure!(status.success(), "{}: {status}", command.get_program().display());
    Ok(())
}

/// Waits for a good end; what was resident at most, in MB. Before its exec it was a copy of us, and that counts, too.
fn ended(child: Child) -> Result<f64> {
    let pid = child.id().cast_signed();
    let mut status = 0;
    // SAFETY: plain integers, for all of which zero is a value.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the child is ours and was not waited for; both results are ours.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    ensure!(waited == pid, "can't wait for process {pid}: {}", io::Error::last_os_error());
    let status = ExitStatus::from_raw(status);
    ensure!(status.success(), "process {pid}: {status}");
    Ok(usage.ru_maxrss as f64 * 1.024 / 1e3)
}

/// What of a process is resident, in MB.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// Now.
    pub now: f64,
    /// At most, until now.
    pub most: f64,
}

/// What of a process is resident, by /proc/PID/status.
pub fn resident(pid: u32) -> Result<Resident> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name.to_owned())?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1.024 / 1e3)
    };
    Ok(Resident { now: of("VmRSS:")?, most: of("VmHWM:")? })
}

/// A `seccomp-trace record` that runs beside us.
pub struct Process {
    child: Child,
    said: JoinHandle<io::Result<String>>,
}

impl Process {
    /// Starts it, and waits until it says that it is ready.
    pub fn ready(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stderr.take().context("it has no stderr")?);
        let mut all = String::new();
        while !all.lines().last().is_some_and(|line| line.starts_with("note: ready")) {
            ensure!(said.read_line(&mut all)? > 0, "it is never ready: {all}");
        }
        // What it goes on to say must not hold it up.
        let said = thread::spawn(move || said.read_to_string(&mut all).map(|_| all));
        Ok(Self { child, said })
    }

    /// As [`resident`].
    pub fn resident(&self) -> Result<Resident> {
        resident(self.child.id())
    }

    /// Ends it with Ctrl-C; what was resident at most, in MB.
    pub fn interrupt(self) -> Result<f64> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let Self { child, said } = self;
        ended(child).with_context(|| match said.join() {
            Ok(Ok(said)) => format!("it said: {said}"),
            _ => "what it said can't be read".to_owned(),
        })
    }
}
