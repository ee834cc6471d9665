//! The user side of the kernel program: loading it, asking its tables, reading its sets and its news.
//! Nothing else touches the kernel program; nothing here knows engines, recordings or files.

mod btf;
mod counters;
mod load;
mod missed_runs;
mod requirements;
mod slots;

use std::os::fd::{AsFd as _, AsRawFd, RawFd};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
    programs::{ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use aya_log::EbpfLogger;
pub use btf::BtfError;
pub use counters::{Cost, measure};
pub use load::{Loader, Options};
pub use requirements::missing_features;
use seccomp_trace_common::{Event, FilterHead, Stats, control};
pub use slots::{Calls, SlotView, text};
use thiserror::Error;

/// The program that changes the tables for us.
const CONTROL: &str = "control";

/// What can go wrong between us and the kernel.
#[derive(Debug, Error)]
pub enum TracerError {
    /// The offsets are not to be had.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The kernel refused the program.
    #[error("failed to load the eBPF program: {0}")]
    Load(#[from] aya::EbpfError),
    /// The kernel refused one part of it.
    #[error("the eBPF program {name} can't be loaded, attached or run: {source}")]
    Program {
        /// The tracepoint.
        name: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// The kernel has no such tracepoint.
    #[error(
        "this kernel has no tracepoint {0}: it must be built with CONFIG_FTRACE_SYSCALLS and CONFIG_CGROUPS"
    )]
    NoTracepoint(&'static str),
    /// On a kernel whose raw tracepoints lose calls the others are needed, and their numbers are not to be seen.
    #[error(
        "this kernel preempts the programs of raw tracepoints, so that calls would be missing; for its other tracepoints tracefs \
         must be mounted (mount -t tracefs tracefs /sys/kernel/tracing; in a container: --volume=/sys/kernel/tracing:/sys/kernel/tracing:ro): {0}"
    )]
    NoTracefs(ProgramError),
    /// A map could not be read or written.
    #[error("a map of the kernel program can't be used: {0}")]
    Map(#[from] aya::maps::MapError),
    /// The kernel does not say of the program what it says of every one.
    #[error("cannot read {path}: {source}; /proc must be mounted")]
    Untold {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The built program lacks a part.
    #[error("the kernel program has no {0}: it was built from other sources")]
    Missing(&'static str),
    /// No slot or no cell is free.
    #[error("no room for one more container; raise --max-containers")]
    SlotsExhausted,
}

/// A loaded and attached kernel program. Dropped, it detaches; killed with us, it detaches as well.
pub struct Tracer {
    ebpf: Ebpf,
    events: RingBuf<MapData>,
    programs: RingBuf<MapData>,
    log: Option<EbpfLogger<&'static dyn log::Log>>,
    max_containers: u32,
    denials: bool,
    preempts: bool,
}

/// What came of tracking a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackOutcome {
    /// It is traced in this slot.
    Slot(u32),
    /// It lies in a container that nobody asked for.
    Ignored,
}

impl Tracer {
    /// Gives a cgroup a slot. One that has one keeps it.
    ///
    /// # Errors
    /// [`TracerError::SlotsExhausted`], and what the kernel refuses.
    pub fn track(&self, cgroup: u64, flags: u32, base: u32) -> Result<TrackOutcome, TracerError> {
        self.control([control::TRACK, cgroup, u64::from(flags), u64::from(base)])
    }

    /// Makes a cgroup part of a slot. One that has one keeps it.
    ///
    /// # Errors
    /// As [`Self::track`].
    pub fn add_to_slot(&self, cgroup: u64, slot: u32) -> Result<TrackOutcome, TracerError> {
        self.control([control::ADD_TO_SLOT, cgroup, u64::from(slot), 0])
    }

    /// Leaves out a cgroup and all that will be made below it.
    ///
    /// # Errors
    /// As [`Self::track`].
    pub fn ignore(&self, cgroup: u64) -> Result<(), TracerError> {
        match self.control([control::IGNORE, cgroup, 0, 0]) {
            // It was not traced, and without a cell it is not.
            Ok(_) | Err(TracerError::SlotsExhausted) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives the slot of a cgroup one more flag.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn set_slot_flags(&self, cgroup: u64, flags: u32) -> Result<(), TracerError> {
        self.control([control::SET_SLOT_FLAGS, cgroup, u64::from(flags), 0]).map(drop)
    }

    /// Leaves out a cgroup that is a folder: what is made below it is looked at for itself.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn untrack(&self, cgroup: u64) -> Result<(), TracerError> {
        self.control([control::UNTRACK, cgroup, 0, 0]).map(drop)
    }

    /// It is known in which calls a slot's threads are; until then, what exits without an entry may be no denial.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn mark_syscall_state_known(&self, slot: u32) -> Result<(), TracerError> {
        self.control([control::SETTLE, u64::from(slot), 0, 0]).map(drop)
    }

    /// Nobody wants a slot any more: who has left its cgroups is not followed, and without cgroups it is dead.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn release(&self, slot: u32) -> Result<(), TracerError> {
        self.control([control::RELEASE, u64::from(slot), 0, 0]).map(drop)
    }

    fn control(&self, arguments: [u64; 4]) -> Result<TrackOutcome, TracerError> {
        let program = self.ebpf.program(CONTROL).ok_or(TracerError::Missing(CONTROL))?;
        let program: &RawTracePoint =
            program.try_into().map_err(|source| TracerError::Program { name: CONTROL, source })?;
        let mut options = RawTracePointRunOptions::new();
        options.args[..4].copy_from_slice(&arguments);
        let result =
            program.test_run(options).map_err(|source| TracerError::Program { name: CONTROL, source })?;
        match result.return_value {
            control::FULL => Err(TracerError::SlotsExhausted),
            control::IS_IGNORED => Ok(TrackOutcome::Ignored),
            slot => Ok(TrackOutcome::Slot(slot)),
        }
    }

    /// The next piece of news; none where all is read.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.next().and_then(|bytes| {
            // SAFETY: any bytes are an Event; unaligned, because the ring aligns to 8 and promises nothing.
            (bytes.len() == size_of::<Event>())
                .then(|| unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
        })
    }

    /// The next filter's program that was taken, as the kernel keeps it: eight bytes an instruction.
    pub fn next_program(&mut self) -> Option<(FilterHead, Vec<u8>)> {
        loop {
            let item = self.programs.next()?;
            let Some((head, code)) = item.split_at_checked(size_of::<FilterHead>()) else { continue };
            // SAFETY: any bytes are a head; unaligned, as in `next_event`.
            let head = unsafe { head.as_ptr().cast::<FilterHead>().read_unaligned() };
            if let Some(code) = code.get(..head.length as usize * 8) {
                return Some((head, code.to_vec()));
            }
        }
    }

    /// Passes the kernel program's own diagnostics to the logger.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// What was counted since the start.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn stats(&self) -> Result<Stats, TracerError> {
        let _unpreempted = self.realtime();
        Ok(slots::array::<Stats>(&self.ebpf, "STATS")?.get(&0, 0)?)
    }

    /// Are denials looked for?
    pub fn finds_denials(&self) -> bool {
        self.denials
    }

    /// How many slots there are.
    pub fn max_containers(&self) -> u32 {
        self.max_containers
    }
}

/// Readable when there is news.
impl AsRawFd for Tracer {
    fn as_raw_fd(&self) -> RawFd {
        self.events.as_fd().as_raw_fd()
    }
}
