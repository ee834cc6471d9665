//! One virtual machine from its start to its end, in QEMU's software emulation: it needs no rights, and no KVM.

use super::qemu::Qemu;
use crate::architecture::Architecture;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A kernel that is not up by then hangs. It takes ten seconds, on a busy machine more.
const UP: Duration = Duration::from_secs(120);
/// No test is silent for longer.
const SILENCE: Duration = Duration::from_secs(420);
/// All of it takes no longer.
const WHOLE: Duration = Duration::from_secs(45 * 60);

/// The initial root, among a machine's own files.
pub const ROOT: &str = "initial-root.cpio";
/// The socket at which the compiler listens, there.
pub const COMPILER: &str = "compiler";

/// What a machine said.
#[derive(Debug, Default)]
pub struct Outcome {
    /// All that its console showed.
    pub console: Vec<String>,
    /// The architecture and release, as the kernel itself says.
    pub kernel: Option<String>,
    /// What the tests reported, one JSON object a line.
    pub report: String,
    /// What is wrong with it, apart from tests that failed.
    pub trouble: Vec<String>,
    /// The status of what ran in it; none where it did not come to its end.
    pub status: Option<i32>,
}

/// One that is ready to run.
pub struct Machine {
    pub architecture: Architecture,
    /// The kernel's image.
    pub kernel: PathBuf,
    /// Further arguments of the kernel.
    pub arguments: String,
    /// Is time what instructions make it?
    pub counts_instructions: bool,
    /// Gets the whole console, with seconds.
    pub log: PathBuf,
    /// Its files, [`ROOT`] and [`COMPILER`], gone with it.
    pub own: TempDir,
}

impl Machine {
    /// Runs it to its end. Each line that the tests print is handed on as it comes.
    pub fn run(self, qemu: &Qemu, mut line: impl FnMut(&str) -> Result<()>) -> Result<Outcome> {
        let mut child = Killed(self.start(qemu)?);
        let console = child.0.stdout.take().context("no console")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for read in BufReader::new(console).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&read).trim_end_matches('\r').to_owned();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        let log = || format!("cannot write {}", self.log.display());
        let mut to = File::create(&self.log).with_context(log)?;
        let began = Instant::now();
        let mut heard = began;
        let mut outcome = Outcome::default();
        loop {
            let limit = if outcome.kernel.is_some() { SILENCE } else { UP };
            let left = limit.saturating_sub(heard.elapsed()).min(WHOLE.saturating_sub(began.elapsed()));
            match lines.recv_timeout(left) {
                Ok(said) => {
                    writeln!(to, "{:7.1} {said}", began.elapsed().as_secs_f64()).with_context(log)?;
                    let was_up = outcome.kernel.is_some();
                    if let Some(printed) = outcome.take(&said) {
                        line(printed)?;
                    }
                    // A kernel that hangs may go on to say so.
                    if outcome.kernel.is_some() && !(was_up && said.starts_with('[')) {
                        heard = Instant::now();
                    }
                    outcome.console.push(said);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let took = began.elapsed().as_secs();
                    outcome.trouble.push(match outcome.kernel {
                        None => format!("the kernel is not up after {took} s"),
                        Some(_) => format!("it hangs: ended after {took} s"),
                    });
                    return Ok(outcome);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if outcome.kernel.is_none() {
            outcome.trouble.push("the kernel did not come up".into());
        } else if outcome.status.is_none() {
            outcome.trouble.push("the machine ended before its tests".into());
        }
        Ok(outcome)
    }

    fn start(&self, qemu: &Qemu) -> Result<Child> {
        let mut qemu = qemu.emulator(self.architecture);
        // One thread for both processors: with two, QEMU 7.2 now and then goes on with an old translation of code that the
        // kernel patches on the other one (jump labels, as that of BPF's statistics), and hangs at its int3.
        qemu.args(self.architecture.machine());
        qemu.args(["-accel", "tcg,thread=single", "-smp", "2", "-m", "3072"]);
        if self.counts_instructions {
            qemu.args(["-icount", "shift=0"]);
        }
        qemu.args(["-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio"]);
        let compiler = self.own.path().join(COMPILER);
        qemu.arg("-chardev").arg(format!("socket,id=compiler,path={}", compiler.display()));
        qemu.args(["-device", "virtio-serial-pci"]);
        qemu.args(["-device", "virtserialport,chardev=compiler,name=compiler"]);
        qemu.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(self.own.path().join(ROOT));
        let console = self.architecture.console();
        qemu.arg("-append")
            .arg(format!("console={console} vsyscall=xonly panic=-1 loglevel=4 {}", self.arguments));
        let child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        child.with_context(|| format!("cannot start {}", qemu.get_program().display()))
    }
}

impl Outcome {
    /// Takes one line of the console; returns it where it is the tests'.
    fn take<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        // A BIOS may leave something at the beginning of a line.
        let mark = |mark: &str| line.split_once(mark).map(|(_, rest)| rest.trim());
        if line.contains("Kernel panic") {
            self.trouble.push(line.to_owned());
        } else if let Some(kernel) = mark("@@UP ") {
            self.kernel = Some(kernel.to_owned());
        } else if let Some(line) = mark("@@REPORT ") {
            self.report += &format!("{line}\n");
        } else if let Some(complaint) = mark("@@KERNEL ") {
            self.trouble.push(format!("the kernel complains: {complaint}"));
        } else if let Some(status) = mark("@@RC ") {
            self.status = status.parse().ok();
        } else {
            return self.kernel.as_ref().map(|_| line).filter(|line| !line.contains("@@END"));
        }
        None
    }
}

/// A child that does not outlive us.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn a_console_is_understood() {
        let mut outcome = Outcome::default();
        let console = [
            "SeaBIOS\u{1b}[2J@@UP x86_64 6.1.0",
            "test a ... ok",
            r#"@@REPORT {"test":"b","reason":"no"}"#,
            "@@KERNEL [ 1.0] BUG: bad",
            "@@RC 3",
            "@@END",
        ];
        let printed: Vec<_> = console.iter().filter_map(|line| outcome.take(line)).collect();
        assert_eq!(printed, ["test a ... ok"]);
        assert_eq!((outcome.kernel.as_deref(), outcome.status), (Some("x86_64 6.1.0"), Some(3)));
        assert_eq!(outcome.report, "{\"test\":\"b\",\"reason\":\"no\"}\n");
        assert_eq!(outcome.trouble, ["the kernel complains: [ 1.0] BUG: bad"]);
    }

    #[test]
    fn a_panic_is_trouble() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.take("[    2.1] Kernel panic - not syncing: no init"), None);
        assert_eq!((outcome.trouble.len(), outcome.status), (1, None));
    }
}
