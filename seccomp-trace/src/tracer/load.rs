//! Loading and attaching.

use std::{
    io::ErrorKind,
    num::NonZero,
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{HashMap, Queue, RingBuf},
    programs::{Program, ProgramError},
};
use aya_log::EbpfLogger;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seccomp_trace_common::{
    Config, DENIALS_PER_SLOT, FILTERS_PER_SLOT, FOLLOWED_PER_SLOT, HIGH_NUMBERS_PER_SLOT, MAX_COUNTED,
    MAX_DENIALS, MAX_FILTERS, MAX_FOLLOWED, MAX_HIGH_NUMBERS, MAX_TASKS, PATH_LEN, TASKS_PER_SLOT,
};

use super::{CONTROL, Tracer, TracerError, btf};

static PROGRAM: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/seccomp-trace"));

/// Each program carries its tracepoint's name. In the order in which they are attached: who follows tasks comes
/// before who tracks cgroups, so that a container that has a slot is followed from its beginning; one made
/// before that is there when the caller looks at what exists.
///
/// `sys_exit` comes before `sys_enter`: whoever enters a call under our eyes leaves it so, too.
const TRACEPOINTS: [&str; 6] = [
    "sched_process_exec",
    "sched_process_exit",
    "sched_process_fork",
    "cgroup_attach_task",
    "cgroup_rmdir",
    "cgroup_mkdir",
];
/// A call's end, looked at for denials, and its beginning. See [`TRACEPOINTS`].
const CALLS: [&str; 2] = ["sys_exit", "sys_enter"];
/// The same of kernels that preempt those.
const CLASSIC_CALLS: [&str; 2] = ["classic_sys_exit", "classic_sys_enter"];
/// What their tracepoints are called.
const CLASSIC: (&str, &str) = ("raw_syscalls", "classic_");

/// The kernel has it where it has a vsyscall page (x86_64, CONFIG_X86_VSYSCALL_EMULATION).
const VSYSCALL: &str = "emulate_vsyscall";

/// Threads of one container of which it is kept in what call they are.
const THREADS_PER_SLOT: u32 = 16_384;

/// Bytes of the ring for filters' programs: an engine's takes 12 KiB.
const PROGRAM_BYTES: u32 = 512 << 10;
/// The same where one container alone is traced.
const FEW_PROGRAM_BYTES: u32 = 256 << 10;

/// How large the kernel side is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Slots: containers that can be traced at a time.
    pub max_containers: u32,
    /// The ring buffer's size in bytes: a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// New cgroups of nobody's get slots: for engines, whose containers come with cgroups of their own.
    pub track_new: bool,
    /// What filters deny is recorded.
    pub denials: bool,
    /// Calls are counted, and the kernel program's own run time.
    pub watch: bool,
}

impl Options {
    /// The default of `--max-containers`.
    pub const MAX_CONTAINERS: u32 = 1024;
    /// 256 KiB hold the news of some 4,600 first sightings.
    pub const RING_BYTES: u32 = 256 * 1024;

    /// Sixteen cgroups a container, in four times as many cells.
    fn cells(self) -> u32 {
        (self.max_containers * 64).max(65_536).next_power_of_two()
    }
}

impl Tracer {
    /// Loads the kernel program and attaches it. Cgroups with these paths get slots whenever they are made.
    ///
    /// # Errors
    /// Where the kernel lacks something or refuses.
    pub fn start(
        Loader(mut loader): Loader,
        options: Options,
        waited: &[String],
    ) -> Result<Self, TracerError> {
        let btf::Kernel { offsets, preempts } = btf::kernel()?;
        let cells = options.cells();
        let config = Config {
            table_mask: cells - 1,
            track_new: u32::from(options.track_new),
            waits: u32::from(!waited.is_empty()),
            denials: u32::from(options.denials),
            watch: u32::from(options.watch),
        };
        let counters = if options.watch { MAX_COUNTED } else { 1 };
        // What it would log is not even verified, unless somebody reads it.
        let logs = log::log_enabled!(log::Level::Debug);
        let log_level = if logs { u8::MAX } else { 0 };
        let slots = options.max_containers;
        let mut ebpf = loader
            .override_global("OFFSETS", &offsets, true)
            .override_global("CONFIG", &config, true)
            .override_global(aya_log::LEVEL, &log_level, true)
            .map_max_entries("CGROUPS", cells)
            .map_max_entries("SLOTS", slots)
            .map_max_entries("SETS", slots)
            .map_max_entries("FREE", slots)
            .map_max_entries("TASKS", slots.saturating_mul(TASKS_PER_SLOT as u32).min(MAX_TASKS))
            .map_max_entries("NAMESPACES", slots)
            .map_max_entries("FOLLOWED", slots.saturating_mul(FOLLOWED_PER_SLOT as u32).min(MAX_FOLLOWED))
            .map_max_entries("CURRENT_CALL", slots.saturating_mul(THREADS_PER_SLOT).min(MAX_TASKS))
            .map_max_entries(
                "HIGH_NUMBERS",
                slots.saturating_mul(HIGH_NUMBERS_PER_SLOT).min(MAX_HIGH_NUMBERS),
            )
            .map_max_entries("DENIALS", slots.saturating_mul(DENIALS_PER_SLOT).min(MAX_DENIALS))
            .map_max_entries("COUNTS", counters)
            .map_max_entries("FREE_COUNTERS", counters)
            .map_max_entries("AWAITED_PATHS", u32::try_from(waited.len()).unwrap_or(u32::MAX).max(1))
            .map_max_entries("FILTERS", slots.saturating_mul(FILTERS_PER_SLOT as u32).min(MAX_FILTERS))
            .map_max_entries("PROGRAMS", if slots == 1 { FEW_PROGRAM_BYTES } else { PROGRAM_BYTES })
            .map_max_entries("EVENTS", options.ring_bytes)
            .load(PROGRAM)?;
        let log = logs.then(|| EbpfLogger::init(&mut ebpf).ok()).flatten();
        let events = RingBuf::try_from(ebpf.take_map("EVENTS").ok_or(TracerError::Missing("EVENTS"))?)?;
        let programs = RingBuf::try_from(ebpf.take_map("PROGRAMS").ok_or(TracerError::Missing("PROGRAMS"))?)?;
        let mut free: Queue<_, u32> = ebpf.map_mut("FREE").ok_or(TracerError::Missing("FREE"))?.try_into()?;
        for slot in 0..slots {
            free.push(slot, 0)?;
        }
        if options.watch {
            let free = ebpf.map_mut("FREE_COUNTERS").ok_or(TracerError::Missing("FREE_COUNTERS"))?;
            let mut free: Queue<_, u32> = free.try_into()?;
            (0..MAX_COUNTED).try_for_each(|counter| free.push(counter, 0))?;
        }
        let paths = ebpf.map_mut("AWAITED_PATHS").ok_or(TracerError::Missing("AWAITED_PATHS"))?;
        let mut paths: HashMap<_, [u8; PATH_LEN], u8> = paths.try_into()?;
        for path in waited {
            let mut key = [0; PATH_LEN];
            // With a closing zero, as the kernel program reads it.
            key.iter_mut().zip(path.bytes().take(PATH_LEN - 1)).for_each(|(to, from)| *to = from);
            paths.insert(key, 0, 0)?;
        }
        let [end, begin] = if preempts { CLASSIC_CALLS } else { CALLS };
        let calls = options.denials.then_some(end).into_iter().chain([begin]);
        let others = [CONTROL].into_iter().chain(TRACEPOINTS.into_iter().rev()).chain([VSYSCALL]);
        let names: Vec<_> = others.chain(calls.clone()).collect();
        load(&mut ebpf, &names)?;
        give_back();
        for name in TRACEPOINTS.into_iter().chain(calls) {
            attach(&mut ebpf, name)?;
        }
        match attach(&mut ebpf, VSYSCALL) {
            Ok(()) | Err(TracerError::NoTracepoint(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { ebpf, events, programs, log, max_containers: slots, denials: options.denials, preempts })
    }
}

/// A loader without the kernel's BTF: the program has no relocations against the kernel, its offsets are globals.
pub struct Loader(EbpfLoader<'static>);

impl Loader {
    /// To be called while no other thread runs. aya reads and indexes the BTF before it can be told not to (20 ms and 20 MB), but
    /// goes on without what it can't open: for this instant nothing can be opened, in any thread.
    #[expect(clippy::new_without_default, reason = "a default would be free of that condition")]
    pub fn new() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let is_lowered = setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).is_ok();
        let mut loader = EbpfLoader::new();
        if is_lowered {
            // What the soft limit was is never above the hard one.
            let _ = setrlimit(Resource::Nofile, limit);
        }
        loader.btf(None);
        Self(loader)
    }
}

/// By as many threads as there are processors: verification is most of the start. From the last on, which takes longest: then
/// all are done at about the same time.
fn load(ebpf: &mut Ebpf, names: &[&'static str]) -> Result<(), TracerError> {
    let mut programs: Vec<_> = ebpf
        .programs_mut()
        .filter_map(|(found, program)| Some((names.iter().position(|name| *name == found)?, program)))
        .collect();
    programs.sort_unstable_by_key(|(place, _)| *place);
    let programs = Mutex::new(programs);
    let next = || programs.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        while let Some((place, program)) = next() {
            let loaded = match program {
                Program::RawTracePoint(program) => program.load(),
                Program::TracePoint(program) => program.load(),
                _ => return Err(TracerError::Missing(names[place])),
            };
            loaded.map_err(|source| TracerError::Program { name: names[place], source })?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others = thread::available_parallelism().map_or(1, NonZero::get) - 1;
        // Where no thread may be made, this one does it all.
        let others: Vec<_> = (0..others.min(names.len()))
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let own = work();
        let all = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        all.fold(own, Result::and)
    })
}

/// What was needed to load goes back to the system: some 3 MB, which glibc would keep below the few bytes that stay.
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: frees what nobody has.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn attach(ebpf: &mut Ebpf, name: &'static str) -> Result<(), TracerError> {
    let attached = match program(ebpf, name)? {
        Program::RawTracePoint(program) => program.attach(name).map(drop),
        Program::TracePoint(program) => {
            let (category, prefix) = CLASSIC;
            program.attach(category, name.trim_start_matches(prefix)).map(drop)
        }
        _ => return Err(TracerError::Missing(name)),
    };
    attached.map_err(|source| match source {
        ProgramError::SyscallError(error) if error.io_error.kind() == ErrorKind::NotFound => {
            TracerError::NoTracepoint(name)
        }
        ProgramError::IOError(_) | ProgramError::TracePointError(_) => TracerError::NoTracefs(source),
        source => TracerError::Program { name, source },
    })
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Program, TracerError> {
    ebpf.program_mut(name).ok_or(TracerError::Missing(name))
}
