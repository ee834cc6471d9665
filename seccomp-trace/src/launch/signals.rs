//! Signals: which come to us, and which of them the command has had already.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::StreamExt as _;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::exfiltrator::{WithOrigin, origin::Origin},
    low_level::siginfo::Cause,
};
use signal_hook_tokio::SignalsInfo;

use crate::inspect::process::ignored_signals;

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// A terminal's key sent it to the whole foreground process group: the command has it, too. A hangup goes to
    /// the session's leader alone.
    pub from_terminal: bool,
}

impl Signal {
    /// Does it ask us to end: Ctrl-C, a closed terminal, `kill`?
    #[must_use]
    pub fn is_termination(self) -> bool {
        is_termination(self.number)
    }
}

fn is_termination(signal: i32) -> bool {
    matches!(signal, SIGHUP | SIGINT | SIGQUIT | SIGTERM)
}

/// How many signals have come that ask us to end.
static ENDS: AtomicUsize = AtomicUsize::new(0);

/// For who waits outside of the event loop: has another signal come that asks us to end?
#[derive(Clone, Copy, Debug)]
pub struct Ends(usize);

impl Ends {
    /// Those that have come until now do not count.
    #[must_use]
    pub fn until_now() -> Self {
        Self(ENDS.load(Ordering::Relaxed))
    }

    /// Has one come since?
    #[must_use]
    pub fn has_more(self) -> bool {
        ENDS.load(Ordering::Relaxed) != self.0
    }
}

/// The signals that we take.
pub struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    /// From now on these signals come here. Those that our caller ignores (nohup) stay ignored.
    ///
    /// # Errors
    /// Where the kernel refuses a handler.
    pub fn take() -> io::Result<Self> {
        let ignored = ignored_signals();
        let wanted = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];
        let wanted: Vec<_> = wanted.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0).collect();
        // signal-hook installs a handler before it knows what the handler is for: a signal in between would be
        // lost. Held back, it comes right after.
        let _held = Held::back(&wanted);
        for signal in wanted.iter().copied().filter(|signal| is_termination(*signal)) {
            // SAFETY: an atomic counter is all that the handler touches.
            unsafe { signal_hook::low_level::register(signal, || _ = ENDS.fetch_add(1, Ordering::Relaxed))? };
        }
        SignalsInfo::with_exfiltrator(wanted, WithOrigin::default()).map(Self)
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        match self.0.next().await {
            Some(Origin { signal, cause, .. }) => Signal {
                number: signal,
                from_terminal: matches!(cause, Cause::Kernel) && matches!(signal, SIGINT | SIGQUIT),
            },
            // The stream never ends while we hold it.
            None => std::future::pending().await,
        }
    }
}

/// Signals of this thread that wait until the value goes.
struct Held {
    old: libc::sigset_t,
}

impl Held {
    fn back(signals: &[i32]) -> Self {
        // SAFETY: a set is plain memory, which sigemptyset makes valid; the calls only read and write ours.
        unsafe {
            let (mut set, mut old) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigemptyset(&raw mut set);
            for signal in signals {
                libc::sigaddset(&raw mut set, *signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut old);
            Self { old }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the set that the kernel gave.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.old, std::ptr::null_mut()) };
    }
}
