//! Runs of the kernel program that the kernel has left out.
//!
//! A program that is running on a processor does not run there once more: the kernel skips it, and counts that
//! (`prog->active` in `__bpf_trace_run`, `bpf_prog_active` in `trace_call_bpf`, kernel/trace/bpf_trace.c). Where nothing preempts
//! a program there is nothing to skip. Since Linux 7.2 those at raw tracepoints of system calls are preempted, and whoever
//! runs meanwhile on that processor is not traced: seen on 7.3, six of seven ends of calls of eight busy processes. Those at
//! classic tracepoints are not; but they are skipped while somebody is preempted who uses a map by bpf(2)
//! (`bpf_disable_instrumentation`), which we do all the time: so then we are not to be preempted.

use std::{fs, os::fd::AsFd as _, os::fd::AsRawFd as _};

use super::{Tracer, TracerError};

/// Until it is dropped, only a real-time thread preempts this one. Not for all the time: a real-time thread that wakes up preempts
/// others, also in the middle of the program that has news for it.
pub(super) struct RealtimeGuard {
    policy: i32,
    parameters: libc::sched_param,
}

impl RealtimeGuard {
    /// None where that is not allowed (CAP_SYS_NICE): what is skipped then is counted.
    fn now() -> Option<Self> {
        let mut before = Self { policy: 0, parameters: libc::sched_param { sched_priority: 0 } };
        let lowest = libc::sched_param { sched_priority: 1 };
        // SAFETY: system calls with whole structures, about this thread.
        unsafe {
            before.policy = libc::sched_getscheduler(0);
            let is_known = before.policy >= 0 && libc::sched_getparam(0, &raw mut before.parameters) == 0;
            (is_known && libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest) == 0)
                .then_some(before)
        }
    }
}

impl Drop for RealtimeGuard {
    fn drop(&mut self) {
        // SAFETY: as in `now`.
        unsafe { libc::sched_setscheduler(0, self.policy, &raw const self.parameters) };
    }
}

impl Tracer {
    /// To be held while a map is used, on a kernel that preempts.
    #[must_use]
    pub(super) fn realtime(&self) -> Option<RealtimeGuard> {
        self.preempts.then(RealtimeGuard::now).flatten()
    }

    /// Must others be preempted by us while we use a map, and may not?
    pub fn may_cause_skips(&self) -> bool {
        self.preempts && RealtimeGuard::now().is_none()
    }

    /// How often a part of the kernel program was skipped since the start, on any processor and for any process.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn skips(&self) -> Result<u64, TracerError> {
        let mut skips = 0;
        for (name, program) in self.ebpf.programs() {
            // Another kernel's.
            let Ok(fd) = program.fd() else { continue };
            let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
            let text = fs::read_to_string(&path).map_err(|source| TracerError::Untold { path, source })?;
            let of_program = of(&text).unwrap_or_default();
            if of_program > 0 {
                log::debug!("{name} was skipped {of_program} times");
            }
            skips += of_program;
        }
        Ok(skips)
    }
}

/// Of what `/proc/PID/fdinfo` says of a program (`bpf_prog_show_fdinfo`, Linux 5.12).
fn of(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn skips_are_read_and_nothing_else() {
        assert_eq!(of("prog_type:\t17\nrun_cnt:\t5\nrecursion_misses:\t42\nverified_insns:\t7\n"), Some(42));
        assert_eq!(of("prog_type:\t17\n"), None);
    }
}
