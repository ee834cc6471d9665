//! The kernel program and the tracer on the running kernel: root and BPF.
//!
//! One module a subject, each with `pub fn tests() -> Vec<Trial>`, listed here:
//!
//! - `run_status`: COMMAND's exit status, streams, user, signals that it ignores; what is started where it can't be
//! - `run_calls`: which calls count: from the first one on, of all descendants, and no other
//! - `run_ends`: what is left of COMMAND, Ctrl-C, signals, `--duration`
//! - `abis`: 32-bit and x32 calls, arm's on aarch64, numbers beyond the tables
//! - `blind_spots`: what no recording can hold, and the vsyscall page
//! - `portable`: a profile for another build of the program
//! - `ring`: a ring buffer that is too small
//! - `flood`: every harmless number of all ABIs, from all CPUs at once
//! - `checkpoint`: a killed seccomp-trace
//! - `detach`: what is left in the kernel: nothing
//! - `record_cgroup`, `record_pid`: recording without an engine
//! - `record_slots`: which cgroups get a slot, beside a made-up engine
//! - `record_unit`: units of a systemd
//! - `record_moves`: processes that move, cgroups that are made meanwhile
//! - `runtimes`: runc and crun by hand, with the boundary
//! - `denials`: what filters deny, and what only looks so
//! - `tampering`: who may write the kernel program's maps, and what comes of it
//! - `own_filter`: a program that loads a filter, without a runtime
//! - `hostile_cgroups`: cgroups without end
//! - `many_cgroups`: thousands of cgroups in one session
//! - `bad_host`: no privileges, no BTF, no cgroup v2
//! - `bad_input`: commands, targets and options that can't be
//! - `bad_output`: files that can't be written, a disk that fills
//! - `output_files`: files that somebody else has, has planted, or that are better; results that have no place
//! - `hostile_engine`: an engine that says too much, too slowly, or nonsense
//! - `interrupts`: Ctrl-C at any moment
//! - `libseccomp`: the names of the installed libseccomp
//! - `stalled`: streams that nobody reads
//! - `watch_lines`: `--watch` without a terminal
//! - `watch_screen`: `--watch` on a real one
//!
//! `common` is what they share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod abis;
mod bad_host;
mod bad_input;
mod bad_output;
mod blind_spots;
mod checkpoint;
mod common;
mod denials;
mod detach;
mod flood;
mod hostile_cgroups;
mod hostile_engine;
mod interrupts;
mod leaving;
#[cfg(target_arch = "x86_64")]
mod libseccomp;
mod many_cgroups;
mod output_files;
mod own_filter;
#[cfg(target_arch = "x86_64")]
mod portable;
mod record_cgroup;
mod record_moves;
mod record_pid;
mod record_slots;
mod record_unit;
mod ring;
mod run_calls;
mod run_ends;
mod run_status;
mod runtimes;
mod stalled;
#[path = "../support/mod.rs"]
mod support;
mod tampering;
mod watch_lines;
mod watch_screen;

fn main() -> std::process::ExitCode {
    watch_screen::panic_if_asked();
    support::main([
        run_status::tests(),
        run_calls::tests(),
        run_ends::tests(),
        abis::tests(),
        blind_spots::tests(),
        #[cfg(target_arch = "x86_64")]
        portable::tests(),
        ring::tests(),
        flood::tests(),
        checkpoint::tests(),
        record_cgroup::tests(),
        record_moves::tests(),
        leaving::tests(),
        record_pid::tests(),
        record_slots::tests(),
        record_unit::tests(),
        runtimes::tests(),
        own_filter::tests(),
        denials::tests(),
        tampering::tests(),
        detach::tests(),
        hostile_cgroups::tests(),
        hostile_engine::tests(),
        many_cgroups::tests(),
        bad_host::tests(),
        bad_input::tests(),
        bad_output::tests(),
        output_files::tests(),
        interrupts::tests(),
        #[cfg(target_arch = "x86_64")]
        libseccomp::tests(),
        stalled::tests(),
        watch_lines::tests(),
        watch_screen::tests(),
    ])
}
