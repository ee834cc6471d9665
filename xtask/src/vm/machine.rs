//! One virtual machine from its start to its end, in QEMU's software emulation: it needs no rights, and no KVM.

use super::architecture::Architecture;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// A kernel that is not up by then hangs. It takes ten seconds, on a busy machine more.
const UP: Duration = Duration::from_secs(120);
/// No test is silent for longer.
const SILENCE: Duration = Duration::from_secs(420);
/// All of it takes no longer.
const WHOLE: Duration = Duration::from_secs(45 * 60);

/// What a machine said.
#[derive(Debug, Default)]
pub struct Outcome {
    /// All that its console showed.
    pub console: Vec<String>,
    /// The architecture and release, as the kernel itself says.
    pub kernel: Option<String>,
    /// The skips that the tests reported, one JSON object a line.
    pub skips: String,
    /// What is wrong with it, apart from tests that failed.
    pub trouble: Vec<String>,
    /// The status of what ran in it; none where it did not come to its end.
    pub status: Option<i32>,
}

/// Runs a machine to its end. Each line that the tests print is handed on as it comes; `log` gets the whole console, with
/// seconds.
pub fn run(
    architecture: Architecture,
    kernel: &Path,
    arguments: &str,
    root: &Path,
    compiler: &Path,
    log: &Path,
    mut line: impl FnMut(&str) -> Result<()>,
) -> Result<Outcome> {
    let program = format!("qemu-system-{}", architecture.name());
    let mut qemu = Command::new(&program);
    qemu.args(architecture.machine()).args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", "3072"]);
    qemu.args(["-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio"]);
    qemu.arg("-chardev").arg(format!("socket,id=compiler,path={}", compiler.display()));
    qemu.args(["-device", "virtio-serial-pci"]);
    qemu.args(["-device", "virtserialport,chardev=compiler,name=compiler"]);
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(root);
    qemu.arg("-append").arg(format!("console={} panic=-1 loglevel=4 {arguments}", architecture.console()));
    let child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let mut child = Killed(child.with_context(|| format!("cannot start {program}"))?);
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
    let began = Instant::now();
    let mut log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut outcome = Outcome::default();
    loop {
        let limit = if outcome.kernel.is_some() { SILENCE } else { UP.saturating_sub(began.elapsed()) };
        match lines.recv_timeout(limit.min(WHOLE.saturating_sub(began.elapsed()))) {
            Ok(said) => {
                if let Some(printed) = outcome.take(&said) {
                    line(printed)?;
                }
                writeln!(log, "{:7.1} {said}", began.elapsed().as_secs_f64())?;
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

impl Outcome {
    /// Takes one line of the console; returns it where it is the tests'.
    fn take<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        // A BIOS may leave something at the beginning of a line.
        let mark = |mark: &str| line.split_once(mark).map(|(_, rest)| rest.trim());
        if line.contains("Kernel panic") {
            self.trouble.push(line.to_owned());
        } else if let Some(kernel) = mark("@@UP ") {
            self.kernel = Some(kernel.to_owned());
        } else if let Some(skip) = mark("@@SKIPPED ") {
            self.skips += &format!("{skip}\n");
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
            r#"@@SKIPPED {"test":"b","reason":"no"}"#,
            "@@KERNEL [ 1.0] BUG: bad",
            "@@RC 3",
            "@@END",
        ];
        let printed: Vec<_> = console.iter().filter_map(|line| outcome.take(line)).collect();
        assert_eq!(printed, ["test a ... ok"]);
        assert_eq!((outcome.kernel.as_deref(), outcome.status), (Some("x86_64 6.1.0"), Some(3)));
        assert_eq!(outcome.skips, "{\"test\":\"b\",\"reason\":\"no\"}\n");
        assert_eq!(outcome.trouble, ["the kernel complains: [ 1.0] BUG: bad"]);
    }

    #[test]
    fn a_panic_is_trouble() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.take("[    2.1] Kernel panic - not syncing: no init"), None);
        assert_eq!((outcome.trouble.len(), outcome.status), (1, None));
    }
}
