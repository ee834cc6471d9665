//! The user's own COMMAND while we trace: its signals, its end.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus as ProcessStatus,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use rustix::process::{Pid, Signal as Number, kill_process, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::{process::Child, task::yield_now};

use crate::launch::{Signal, Signals};

/// Two Ctrl-C within this time mean: at once. Programs of their own use of Ctrl-C (a shell) go on after one.
const TWICE: Duration = Duration::from_secs(2);

/// What a shell reports: the exit code, or 128 and the signal.
pub fn exit_code(status: ProcessStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Passes on what came before the command was there to have it, from the terminal, too. Waits for none: what a terminal sends from
/// now on, the command has already. What it sent since the command's exec comes twice: rather that than not at all.
pub async fn pass_on_early(child: &Child, signals: &mut Signals) {
    loop {
        // The event loop looks for what has come.
        yield_now().await;
        let Some(signal) = signals.next().now_or_never() else { return };
        send(child, signal.number);
    }
}

/// Passes a signal on, unless the terminal has already sent it to the command as well.
pub fn pass_on(child: &Child, signal: Signal) {
    if !signal.from_terminal {
        send(child, signal.number);
    }
}

/// Asks the command to end.
pub fn terminate(child: &Child) {
    send(child, SIGTERM);
}

/// As a terminal's Ctrl-C, for a command that has a process group of its own.
pub fn interrupt_group(child: &Child) {
    send_group(child, Number::INT);
}

/// Asks the command to end, with all that it has started in its process group.
pub fn terminate_group(child: &Child) {
    send_group(child, Number::TERM);
}

fn send_group(child: &Child, number: Number) {
    if let Some(group) = pid(child) {
        let _ = kill_process_group(group, number);
    }
}

fn send(child: &Child, number: i32) {
    if let (Some(pid), Some(number)) = (pid(child), Number::from_named_raw(number)) {
        let _ = kill_process(pid, number);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
}

/// Tells the second Ctrl-C from the first.
#[derive(Debug, Default)]
pub struct Interrupts(Option<Instant>);

impl Interrupts {
    /// Does this signal mean: quit at once?
    pub fn is_second(&mut self, signal: Signal) -> bool {
        signal.number == SIGINT && self.is_second_interrupt()
    }

    /// Does this Ctrl-C mean: quit at once?
    pub fn is_second_interrupt(&mut self) -> bool {
        let before = self.0.replace(Instant::now());
        before.is_some_and(|before| before.elapsed() < TWICE)
    }
}
