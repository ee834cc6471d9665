//! Reading the kernel's own structures, by the offsets that user space took from BTF.

use core::{mem::MaybeUninit, ptr::read_volatile};

use aya_ebpf::helpers::{
    bpf_get_current_task_btf,
    generated::{bpf_get_current_comm, bpf_get_current_task, bpf_probe_read_kernel, bpf_task_pt_regs},
};
use seccomp_trace_common::{ABI_COMPAT, ABI_NATIVE, ABI_X32, COMM_LEN, Config, Offsets, X32_BIT};

use crate::arch;

/// The bit of SIGSYS (31) in a set of signals.
const SIGSYS: u64 = 1 << 30;
/// Of a task's flags (include/linux/sched.h).
const PF_EXITING: u32 = 4;
/// Of what a tracer wants to be told: what filters hand to it (`PT_EVENT_FLAG(PTRACE_EVENT_SECCOMP)` in include/linux/ptrace.h).
const PT_TRACESECCOMP: u32 = 1 << 10;
/// The bit of that capability (include/uapi/linux/capability.h).
const CAP_SYS_ADMIN: u32 = 1 << 21;
/// `SECCOMP_MODE_DEAD` (kernel/seccomp.c): a filter has killed the thread.
const SECCOMP_MODE_DEAD: u32 = 3;

/// The size of a `struct upid` (include/linux/pid.h).
const UPID: u32 = 16;

/// Set at load. In read-only memory, frozen: the verifier takes each field as a constant.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets {
    task_status: 0,
    task_pid: 0,
    task_tgid: 0,
    task_filters: 0,
    task_seccomp_mode: 0,
    task_pending: 0,
    task_start: 0,
    task_migrations: 0,
    task_flags: 0,
    task_filter: 0,
    task_thread_pid: 0,
    task_leader: 0,
    task_signal: 0,
    signal_live: 0,
    filter_prev: 0,
    pid_level: 0,
    pid_numbers: 0,
    upid_number: 0,
    upid_namespace: 0,
    namespace_reaper: 0,
    regs_number: 0,
    task_cgroups: 0,
    task_fs: 0,
    fs_root: 0,
    css_set_cgroup: 0,
    cgroup_kn: 0,
    cgroup_root: 0,
    cgroup_level: 0,
    cgroup_ancestors: 0,
    ancestors_are_ids: 0,
    root_hierarchy: 0,
    kn_id: 0,
    task_ptrace: 0,
    task_parent: 0,
    task_comm: 0,
    filter_prog: 0,
    filter_native: 0,
    filter_compat: 0,
    prog_orig: 0,
    orig_length: 0,
    orig_filter: 0,
    task_cred: 0,
    cred_permitted: 0,
    cred_user_ns: 0,
    user_ns_level: 0,
};

/// Set at load, as [`OFFSETS`].
#[unsafe(no_mangle)]
static CONFIG: Config = Config { table_mask: 0, track_new: 0, waits: 0, denials: 0, watch: 0 };

macro_rules! offset {
    ($field:ident) => {
        // SAFETY: a static of ours; volatile, because its value comes at load.
        unsafe { read_volatile(&raw const OFFSETS.$field) }
    };
}

/// The current task, as the verifier knows it: its fields, and those of what they point to, are read without a helper.
/// `css_set`, `dfl_cgrp` and `kn` are what it lets be followed so under RCU, which a raw tracepoint holds
/// (kernel/bpf/verifier.c, `BTF_TYPE_SAFE_RCU`).
#[derive(Clone, Copy)]
pub struct Current(*const u8);

impl Current {
    #[inline(always)]
    pub fn task() -> Self {
        // SAFETY: the helper takes nothing and can't fail.
        Self(unsafe { bpf_get_current_task_btf() }.cast())
    }

    #[inline(always)]
    fn field<T: Copy>(self, offset: u32) -> T {
        // SAFETY: a BTF pointer, read at a field's offset: checked by the verifier.
        unsafe { *self.0.add(offset as usize).cast::<T>() }
    }

    #[inline(always)]
    fn follow(self, offset: u32) -> Self {
        Self(self.field(offset))
    }

    /// Its cgroups in all hierarchies. Taken once and kept: for each read of a pointer the verifier goes through the names of
    /// all the kernel's types (`btf_find_by_name_kind`).
    #[inline(always)]
    pub fn css_set(self) -> CssSet {
        CssSet(self.follow(offset!(task_cgroups)))
    }

    /// Who runs, and for which cgroups. Where it is equal on one processor at two times, the task has run on no other one
    /// in between.
    #[inline(always)]
    pub fn run(self, css_set: CssSet) -> Run {
        Run {
            task: self.0 as u64,
            start: self.field(offset!(task_start)),
            migrations: self.field(offset!(task_migrations)),
            css_set: css_set.0.0 as u64,
        }
    }

    /// How deep its PID namespace is nested; 0: it is the host's.
    #[inline(always)]
    pub fn pid_level(self) -> u32 {
        self.follow(offset!(task_thread_pid)).field(offset!(pid_level))
    }

    #[inline(always)]
    pub fn tgid(self) -> u32 {
        self.field(offset!(task_tgid))
    }

    /// Is its call a 32-bit one? This flag tells it always; the code segment of x86 does not.
    #[inline(always)]
    fn is_compat(self) -> bool {
        self.field::<u32>(offset!(task_status)) & arch::COMPAT != 0
    }

    /// The ABI of its call, and the number without x32's bit.
    #[inline(always)]
    pub fn abi_of(self, number: u32) -> (usize, u32) {
        if self.is_compat() {
            (ABI_COMPAT, number)
        } else if arch::HAS_X32 && number & X32_BIT != 0 && number as i32 > 0 {
            (ABI_X32, number & !X32_BIT)
        } else {
            (ABI_NATIVE, number)
        }
    }

    /// The number of the call that it is in, or was in last, as it stands in its registers.
    #[inline(always)]
    pub fn raw_number(self) -> u32 {
        // SAFETY: a BTF pointer to the current task, which has registers.
        let registers = Self(unsafe { bpf_task_pt_regs(self.0.cast_mut().cast()) } as *const u8);
        registers.field::<u32>(offset!(regs_number))
    }

    /// As [`Self::raw_number`], with its ABI.
    #[inline(always)]
    pub fn call(self) -> (usize, u32) {
        self.abi_of(self.raw_number())
    }

    /// The arguments of that call.
    pub fn arguments(self, abi: usize) -> [u64; 6] {
        // SAFETY: as in `raw_number`.
        let registers = Self(unsafe { bpf_task_pt_regs(self.0.cast_mut().cast()) } as *const u8);
        if abi == ABI_COMPAT {
            arch::ARGUMENTS[1].map(|offset| registers.field::<u64>(offset) & 0xffff_ffff)
        } else {
            arch::ARGUMENTS[0].map(|offset| registers.field::<u64>(offset))
        }
    }
}

/// See [`Current::css_set`].
#[derive(Clone, Copy)]
pub struct CssSet(Current);

impl CssSet {
    /// The id of the one in the default hierarchy, as `bpf_get_current_cgroup_id` would say.
    #[inline(always)]
    pub fn cgroup_id(self) -> u64 {
        let cgroup = self.0.follow(offset!(css_set_cgroup));
        cgroup.follow(offset!(cgroup_kn)).field(offset!(kn_id))
    }
}

/// See [`Current::run`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its `task_struct`, in whose memory another task may begin once it has ended.
    pub task: u64,
    /// When it began.
    start: u64,
    /// How often it has changed its processor (`set_task_cpu` in kernel/sched/core.c).
    migrations: u64,
    /// Its cgroups, which others may change while it runs.
    css_set: u64,
}

/// The cgroup table's mask.
#[inline(always)]
pub fn table_mask() -> u32 {
    // SAFETY: as in `offset!`.
    unsafe { read_volatile(&raw const CONFIG.table_mask) }
}

/// Does a new cgroup of nobody's get a slot?
pub fn tracks_new() -> bool {
    // SAFETY: as in `offset!`.
    unsafe { read_volatile(&raw const CONFIG.track_new) != 0 }
}

/// Are cgroups waited for by their paths?
pub fn waits() -> bool {
    // SAFETY: as in `offset!`.
    unsafe { read_volatile(&raw const CONFIG.waits) != 0 }
}

/// Are denials looked for?
pub fn finds_denials() -> bool {
    // SAFETY: as in `offset!`.
    unsafe { read_volatile(&raw const CONFIG.denials) != 0 }
}

/// Are calls counted?
#[inline(always)]
pub fn is_watched() -> bool {
    // SAFETY: as in `offset!`.
    unsafe { read_volatile(&raw const CONFIG.watch) != 0 }
}

/// A field of one of the kernel's structures, or 0: what can't be read the helper clears (`bpf_probe_read_kernel_common` in
/// kernel/trace/bpf_trace.c). So it is behind a null pointer, as tasks have that end. To ask at each read
/// would double the ways that the verifier goes.
#[inline(always)]
fn read<T: Copy>(base: u64, offset: u32) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the address, and writes the value whole; all zeros are one of each type that is read.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            (base + u64::from(offset)) as *const _,
        );
        value.assume_init()
    }
}

/// Makes all of it zeros at once: a loop would go over its bytes, at run time and when it is verified.
#[inline(always)]
pub unsafe fn clear<T>(value: *mut T) {
    // SAFETY: the caller's pointer is into a map's value. Nothing can be read at 0: see `read`.
    unsafe { bpf_probe_read_kernel(value.cast(), size_of::<T>() as u32, core::ptr::null()) };
}

/// The current task's name.
#[inline(always)]
pub fn comm() -> [u8; COMM_LEN] {
    let mut comm = MaybeUninit::<[u8; COMM_LEN]>::uninit();
    // SAFETY: the helper writes it whole.
    unsafe {
        bpf_get_current_comm(comm.as_mut_ptr().cast(), COMM_LEN as u32);
        comm.assume_init()
    }
}

/// A `task_struct`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KernelTask(pub u64);

impl KernelTask {
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: the helper takes nothing and can't fail. A plain number: global functions take no others.
        Self(unsafe { bpf_get_current_task() })
    }

    #[inline(always)]
    pub fn tid(self) -> u32 {
        read(self.0, offset!(task_pid))
    }

    #[inline(always)]
    pub fn tgid(self) -> u32 {
        read(self.0, offset!(task_tgid))
    }

    /// How many seccomp filters its calls pass.
    #[inline(always)]
    pub fn filters(self) -> u32 {
        read(self.0, offset!(task_filters))
    }

    /// When it began, in `CLOCK_MONOTONIC`, in ns: it changes only with its number and memory.
    #[inline(always)]
    pub fn start(self) -> u64 {
        read(self.0, offset!(task_start))
    }

    /// The thread that leads its process.
    #[inline(always)]
    pub fn leader(self) -> Self {
        Self(read(self.0, offset!(task_leader)))
    }

    /// Threads of its process that have not ended.
    #[inline(always)]
    pub fn live(self) -> u32 {
        read(read(self.0, offset!(task_signal)), offset!(signal_live))
    }

    /// How deep its PID namespace is nested; 0: it is the host's.
    #[inline(always)]
    pub fn pid_level(self) -> u32 {
        read(read(self.0, offset!(task_thread_pid)), offset!(pid_level))
    }

    /// Where it stands what it is in a PID namespace that is nested so deep.
    #[inline(always)]
    fn in_namespace(self, level: u32) -> u64 {
        let pid: u64 = read(self.0, offset!(task_thread_pid));
        pid + u64::from(offset!(pid_numbers)) + u64::from(level) * u64::from(UPID)
    }

    /// The address of its PID namespace that is nested so deep. It can't be left.
    #[inline(always)]
    pub fn namespace(self, level: u32) -> u64 {
        read(self.in_namespace(level), offset!(upid_namespace))
    }

    /// The PID namespace that it began itself, as its first process.
    #[inline(always)]
    pub fn own_namespace(self) -> Option<u64> {
        let level = self.pid_level();
        // A thread has a number of its own.
        let number: u32 = read(self.leader().in_namespace(level), offset!(upid_number));
        (level > 0 && number == 1).then(|| self.namespace(level))
    }

    /// The first process of a PID namespace.
    #[inline(always)]
    pub fn first_of(namespace: u64) -> Self {
        Self(read(namespace, offset!(namespace_reaper))).leader()
    }

    /// Does it end, or has it ended? Set before `sched_process_exit` (`do_exit` in kernel/exit.c).
    #[inline(always)]
    pub fn is_ending(self) -> bool {
        read::<u32>(self.0, offset!(task_flags)) & PF_EXITING != 0
    }

    /// Has a filter killed it?
    #[inline(always)]
    pub fn is_killed(self) -> bool {
        read::<u32>(self.0, offset!(task_seccomp_mode)) == SECCOMP_MODE_DEAD
    }

    /// Has a filter sent it SIGSYS, which it has not seen yet?
    #[inline(always)]
    pub fn is_trapped(self) -> bool {
        read::<u64>(self.0, offset!(task_pending)) & SIGSYS != 0
    }

    /// Is it traced by ptrace(2)?
    #[inline(always)]
    pub fn is_traced(self) -> bool {
        read::<u32>(self.0, offset!(task_ptrace)) != 0
    }

    /// Do filters hand calls to its tracer, who may skip them (SECCOMP_RET_TRACE)?
    #[inline(always)]
    pub fn lets_tracer_skip(self) -> bool {
        read::<u32>(self.0, offset!(task_ptrace)) & PT_TRACESECCOMP != 0
    }

    /// Its tracer's name, where it is traced.
    #[inline(always)]
    pub fn tracer_comm(self) -> [u8; COMM_LEN] {
        read(read(self.0, offset!(task_parent)), offset!(task_comm))
    }

    /// Its filter that was loaded last; none where it has none, or has ended (since 6.11).
    #[inline(always)]
    pub fn filter(self) -> Option<Filter> {
        let address: u64 = read(self.0, offset!(task_filter));
        (address != 0).then_some(Filter(address))
    }

    /// Is it root of the host for BPF, or can it become so? It may open any map and program by its id, and load programs of its own that
    /// write our maps: none of that can be forbidden to it.
    #[inline(always)]
    pub fn is_admin(self) -> bool {
        let cred: u64 = read(self.0, offset!(task_cred));
        // The lower half, whatever the kernel makes of the whole.
        let permitted: u32 = read(cred, offset!(cred_permitted));
        let level: u32 = read(read(cred, offset!(cred_user_ns)), offset!(user_ns_level));
        permitted & CAP_SYS_ADMIN != 0 && level == 0
    }

    /// The dentry of its root directory: the container's own after pivot_root. 0: it has ended.
    #[inline(always)]
    pub fn root(self) -> u64 {
        read(read(self.0, offset!(task_fs)), offset!(fs_root))
    }

    /// Its cgroups in all hierarchies, as one address: equal for tasks in the same ones.
    #[inline(always)]
    pub fn css_set(self) -> u64 {
        read(self.0, offset!(task_cgroups))
    }

    /// Its cgroup in the default hierarchy.
    #[inline(always)]
    pub fn cgroup(self) -> Cgroup {
        Cgroup(read(self.css_set(), offset!(css_set_cgroup)))
    }
}

/// A `struct seccomp_filter`.
#[derive(Clone, Copy)]
pub struct Filter(pub u64);

impl Filter {
    /// The address of the one that was loaded before it; 0: it was the first.
    #[inline(always)]
    pub fn below(self) -> u64 {
        read(self.0, offset!(filter_prev))
    }

    /// The address of its program's instructions, as they were loaded, and their number.
    #[inline(always)]
    pub fn program(self) -> (u64, u16) {
        let original = read(read(self.0, offset!(filter_prog)), offset!(prog_orig));
        (read(original, offset!(orig_filter)), read(original, offset!(orig_length)))
    }

    /// Do it and all below it let this call in whatever its arguments are? Not known of x32's.
    #[inline(always)]
    pub fn always_lets_in(self, abi: usize, number: u32) -> bool {
        let bits = match abi {
            ABI_NATIVE => offset!(filter_native),
            ABI_COMPAT => offset!(filter_compat),
            _ => 0,
        };
        let word: u64 = read(self.0 + u64::from(number / 64) * 8, bits);
        bits != 0 && word >> (number % 64) & 1 != 0
    }

    /// The first eight words of those bits, of 64-bit calls.
    #[inline(always)]
    pub fn native_words(self) -> [u64; 8] {
        read(self.0, offset!(filter_native))
    }
}

/// A `struct cgroup`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cgroup(pub u64);

impl Cgroup {
    /// Is it in the default hierarchy? Ids of the others overlap with its.
    #[inline(always)]
    pub fn is_default(self) -> bool {
        read::<u32>(read(self.0, offset!(cgroup_root)), offset!(root_hierarchy)) == 0
    }

    /// The inode number of its directory; what `bpf_get_current_cgroup_id` returns.
    #[inline(always)]
    pub fn id(self) -> u64 {
        read(read(self.0, offset!(cgroup_kn)), offset!(kn_id))
    }

    /// How deep it lies; the root is at 0.
    #[inline(always)]
    pub fn level(self) -> u32 {
        read(self.0, offset!(cgroup_level))
    }

    /// The id of what it lies in at a level that is not deeper than its own.
    #[inline(always)]
    pub fn ancestor(self, level: u32) -> u64 {
        let ancestor: u64 = read(self.0 + u64::from(level) * 8, offset!(cgroup_ancestors));
        if offset!(ancestors_are_ids) != 0 { ancestor } else { Self(ancestor).id() }
    }
}
