//! What the kernel program and its user side share: layouts, sizes and states of the maps.
//! Every struct here crosses that border as bytes, so each has its size asserted, on both sides.

#![no_std]

/// ABIs that one machine can run: on x86 x86_64, i386 and x32; on aarch64 aarch64 and arm.
pub const ABIS: usize = 3;
/// 64-bit calls of the machine's own architecture.
pub const ABI_NATIVE: usize = 0;
/// 32-bit calls.
pub const ABI_COMPAT: usize = 1;
/// x32 calls: native ones with [`X32_BIT`].
pub const ABI_X32: usize = 2;
/// Bit 30 of a number marks an x32 call (arch/x86/include/uapi/asm/unistd.h).
pub const X32_BIT: u32 = 0x4000_0000;

/// Numbers kept in a set; those beyond go to a hash.
pub const NUMBERS: usize = 512;
/// Numbers beyond [`NUMBERS`] that one slot may hold; more make its recording incomplete.
pub const HIGH_NUMBERS_PER_SLOT: u32 = 4096;
/// Numbers beyond [`NUMBERS`] of all slots together.
pub const MAX_HIGH_NUMBERS: u32 = 65_536;
/// One slot may take one part in so many of what is left of them.
pub const HIGH_NUMBERS_SHARE: u64 = 8;
/// Tasks that can have an origin at one time.
pub const MAX_TASKS: u32 = 65_536;
/// Tasks of one slot that can: others are not to go without because one forks without end.
pub const TASKS_PER_SLOT: u64 = 1024;
/// Processes of one slot that are followed one by one, where nothing that they carry says whose they are.
pub const FOLLOWED_PER_SLOT: u64 = 16_384;
/// Processes of all slots together that are.
pub const MAX_FOLLOWED: u32 = 65_536;
/// A slot may have followed processes up to this part of the room that is left: the first one all that a slot may have, the next ones less.
pub const FOLLOWED_SHARE: u64 = 3;
/// Counters of followed processes, by the lower bits of their ids: a power of two.
pub const PRESENCE: usize = 16_384;
/// Cells that one slot may take in the cgroup table: what a container makes beyond is found by its ancestors.
pub const CELLS_PER_SLOT: u64 = 16;
/// Levels of the hierarchy, from the root's children on, in which a cgroup's ancestors are looked for: no engine makes a
/// container's cgroup deeper.
pub const LEVELS: u32 = 32;
/// Cells that one look-up in the cgroup table reads at most.
pub const PROBES: u32 = 16;

/// The sets of a slot, as indexes of [`Sets`].
pub mod set {
    /// Calls of the application: the container's init and its descendants.
    pub const APPLICATION: usize = 0;
    /// Calls of the runtime between loading the filter and the application's exec.
    pub const RUNTIME: usize = 1;
    /// Calls of processes that joined a running container.
    pub const JOINED: usize = 2;
    /// Calls after an exec without a filter and outside the container's own root: a runtime's own re-exec,
    /// or, where no application ever follows, the application itself.
    pub const UNFILTERED_EXEC: usize = 3;
    /// Calls that a task made before it executed anything. The application's, where there is no engine to say what
    /// that is, and such a task never executes anything.
    pub const PRE_EXEC: usize = 4;
    /// How many there are.
    pub const COUNT: usize = 5;
}

/// In a set's byte: the call was made. The truth.
pub const SEEN: u8 = 1;
/// In a set's byte: the ring buffer has taken the news of it.
pub const REPORTED: u8 = 2;
/// In a byte of the application's set: the container's filter does not always let the call in, so each thread's entries and exits are
/// held against each other.
pub const MATCH_ENTER_EXIT: u8 = 8;
/// In a set's byte: the call was made by the vsyscall page.
pub const VSYSCALL: u8 = 4;

/// A slot's calls: for each set and ABI a byte a number ([`SEEN`], [`REPORTED`], [`VSYSCALL`]).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sets {
    /// Indexed by set, ABI and number.
    pub calls: [[[u8; NUMBERS]; ABIS]; set::COUNT],
    /// The slot's [`Counts`], from 1 on; 0: its calls are not counted.
    pub counter: u64,
}

/// Slots whose calls can be counted at a time.
pub const MAX_COUNTED: u32 = 64;

/// How often a slot's calls were made on one processor, while somebody watches.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Indexed by ABI and number.
    pub calls: [[u64; NUMBERS]; ABIS],
    /// Those with numbers beyond.
    pub beyond: u64,
}

/// States of a [`Slot`]. The kernel takes a free slot and marks it dead; only user space frees it.
pub mod state {
    /// Nobody's.
    pub const FREE: u32 = 0;
    /// A container's.
    pub const LIVE: u32 = 1;
    /// Its last cgroup was removed: its sets wait to be read.
    pub const DEAD: u32 = 2;
}

/// Flags of a [`Slot`], given with it.
pub mod flag {
    /// `run`'s own cgroup: every exec is the application's.
    pub const RUN_COMMAND: u32 = 1;
    /// Named by the user: without an engine to ask, all that runs in it may be the application.
    pub const NAMED_CGROUP: u32 = 2;
    /// The application was there before us: who arrives now has joined.
    pub const ATTACHED_LATE: u32 = 4;
    /// It is not known yet in which calls its threads were when their entries began to be seen.
    pub const SYSCALL_STATE_UNKNOWN: u32 = 8;
    /// User space has said that it is a container's, by its path: what is made below is its own.
    pub const CONTAINER: u32 = 16;
    /// Its processes are followed one by one: they carry nothing that says whose they are.
    pub const FOLLOWED: u32 = 32;
    /// User space wants no more of it: who has left it is not followed.
    pub const RELEASED: u32 = 64;
}

/// Bytes kept of a cgroup's path, with the closing zero.
pub const PATH_LEN: usize = 512;

/// One traced container: its identity, and the boundary.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// One of [`state`].
    pub state: u32,
    /// Grows each time the slot is freed: an event of an older one is stale.
    pub generation: u32,
    /// The cgroup that it was made for.
    pub cgroup: u64,
    /// The root directory's dentry of the task that made the cgroup; 0: not known.
    pub root: u64,
    /// That of the application when it arrived, and at its exec; 0: there is none yet.
    pub roots: [u64; 2],
    /// The filter on top at the application's exec, if it was loaded since it arrived; 0: none. It is the one with
    /// [`Self::filters_at_exec`] filters from the bottom, itself included: its address alone may be another one's by now.
    pub top_filter: u64,
    /// The PID namespace whose first process the application is; 0: it has none of its own.
    pub namespace: u64,
    /// Those that are its own wherever they go: 1 while its namespace has a first process, or its followed processes. The slot
    /// lives as long.
    pub followed: u64,
    /// Cells that it has: the cgroup that it was made for has one to the end, those below as many as are left.
    pub table_entries: u64,
    /// Cgroups below that got no cell.
    pub cgroups_without_entry: u64,
    /// Tasks that have an origin in it now.
    pub tasks: u64,
    /// Those of them that came from outside and have not executed anything.
    pub arriving: u64,
    /// 0 until the application has been executed; it grows with each other one that carries the same.
    pub application: u64,
    /// 1 once the first one is about to be.
    pub begun: u64,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Filters that the application's thread had when it arrived in the cgroup; before that, the cgroup's
    /// creator's.
    pub filters_at_entry: u32,
    /// Filters that it had at its exec: more than that are the program's own. In a cgroup without an engine, those
    /// that the first program executed there had.
    pub filters_at_exec: u32,
    /// Kinds of denials kept.
    pub denials: u32,
    /// Denials, and threads' states, that could not be kept: what was denied is incomplete.
    pub lost_denials: u32,
    /// Numbers kept beyond [`NUMBERS`].
    pub beyond: u32,
    /// Numbers, or cgroups with all their calls, that could not be kept: the recording is incomplete.
    pub lost: u32,
    /// Tasks whose origin could not be kept: their calls count as the application's.
    pub lost_origins: u32,
    /// How deep its own cgroup lies in the hierarchy; 0 where user space tracked it.
    pub level: u32,
    /// 1 once a task has ended that came into it and never executed anything.
    pub had_task_without_exec: u32,
    /// Filters that it has numbers for ([`Known`]).
    pub filters: u64,
    /// The number of the application's own top filter, before its program loads any; 0: not seen yet, or none.
    pub filter: u64,
    /// 1 once a task that has been root of the host for BPF has called bpf(2): it may have written here.
    pub could_tamper: u64,
    /// Processes that there was no room to follow.
    pub unfollowed: u32,
    /// Strangers that have come into it.
    pub foreign: u32,
    /// [`Stats::unknown_leavers`] and one when the first one found no room to be followed.
    pub unknown_before: u64,
    /// Filters of the task that made the cgroup.
    pub maker_filters: u64,
    /// Those who look like the application, and do not carry what that one does.
    pub rivals: u64,
    /// How often one of its own went to a cgroup that is nobody's, or was born there.
    pub left: u64,
    /// The cgroup's path in the default hierarchy; empty where user space tracked it.
    pub path: [u8; PATH_LEN],
}

/// Cgroups without a task of which is known who made them. More push out the oldest.
pub const MAX_MADE: u32 = 1024;
/// Cgroups that may be told at a time as not, or not truly, recorded.
pub const MAX_REFUSED: u32 = 4096;

/// Who made a cgroup in which no task has been yet.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// The cgroup.
    pub cgroup: u64,
    /// The root directory's dentry of the task that made it; 0: not known.
    pub root: u64,
    /// That task's filters.
    pub filters: u64,
    /// What is told where it gets no slot.
    pub told: Refused,
}

/// A cgroup that has tasks, and whose calls did not go where they might belong.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// 0: no slot or no cell was free. Else they went to the slot of a cgroup above, which lies at this level; wrong where
    /// that one is no container's.
    pub level: u32,
    /// Zero.
    pub _pad: u32,
    /// The cgroup's path; empty where a task was born in it and the note of who made it was gone.
    pub path: [u8; PATH_LEN],
}

/// A cell of the cgroup table.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// A cgroup's id, or [`cell::EMPTY`], [`cell::REMOVED`] or [`cell::BUSY`].
    pub cgroup: u64,
    /// A slot's number, perhaps with [`cell::GUARDED`], or [`cell::IGNORED`].
    pub slot: u32,
    /// Zero.
    pub _pad: u32,
}

/// Values in a [`Cell`]. Ids of cgroups lie between them: they begin with the root's and grow by one.
pub mod cell {
    /// Never used: a look-up ends here.
    pub const EMPTY: u64 = 0;
    /// The id of the root cgroup, which is never traced. It is looked up all the same: no marker may look like it.
    pub const ROOT: u64 = 1;
    /// Used once: a look-up goes on.
    pub const REMOVED: u64 = u64::MAX - 1;
    /// Being written.
    pub const BUSY: u64 = u64::MAX;
    /// As a slot: a container that nobody asked for, and all below it.
    pub const IGNORED: u32 = u32::MAX;
    /// In a slot's number: somebody else's tasks have come into this cgroup, so each call is asked whose it is.
    pub const GUARDED: u32 = 1 << 31;
}

/// Where a task came from. Plain tasks have no entry.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Its root directory's dentry when it arrived; 0: not known.
    pub root: u64,
    /// Its slot.
    pub slot: u32,
    /// The slot's generation: with another one the entry is stale.
    pub generation: u32,
    /// One of [`origin`].
    pub origin: u32,
    /// The filters it arrived with: with more, the container's filter is asked about its calls.
    pub filters_at_entry: u32,
    /// Bits of [`origin`]'s `F_…`.
    pub flags: u32,
    /// Zero.
    pub _pad: u32,
}

/// Whose somebody is, wherever it goes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The slot.
    pub slot: u32,
    /// The slot's generation: with another one the entry is stale.
    pub generation: u32,
    /// When the process, or the namespace's first one, began: its number, or address, may be another one's by now.
    pub start: u64,
}

/// Origins of a [`Task`].
pub mod origin {
    /// Moved in or born in from outside, and not yet executed: the runtime.
    pub const ARRIVING: u32 = 0;
    /// Executed something without a filter and outside the container's own root.
    pub const UNFILTERED_EXEC: u32 = 1;
    /// `docker exec`, a health check.
    pub const JOINED: u32 = 2;
    /// A stranger: neither the container's own nor brought in by its runtime. Its calls count nowhere.
    pub const FOREIGN: u32 = 3;
    /// In the container's PID namespace from outside, and not in its cgroup, or not yet (`nsenter`).
    pub const OUTSIDE: u32 = 4;
    /// It arrived when the application was already there.
    pub const F_LATE: u32 = 1;
    /// Its other threads came with it.
    pub const F_GROUP: u32 = 2;
    /// A process that a runtime forked under the container's filter, or with its root: a startContainer hook. The application is
    /// what the runtime's own process becomes.
    pub const F_HOOK: u32 = 4;
}

/// The key of a number beyond [`NUMBERS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HighNumber {
    /// The slot.
    pub slot: u32,
    /// One of [`set`].
    pub set: u16,
    /// The ABI's index.
    pub abi: u16,
    /// The number, an x32 one without its bit.
    pub number: u32,
}

/// Kinds of denials that one slot may hold.
pub const DENIALS_PER_SLOT: u32 = 1024;
/// Kinds of denials of all slots together.
pub const MAX_DENIALS: u32 = 65_536;

/// A kind of denial: a call that a filter answered in the kernel's place, or that ended without having been entered for another
/// reason.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The slot.
    pub slot: u32,
    /// The number, an x32 one without its bit.
    pub number: u32,
    /// The ABI's index.
    pub abi: u16,
    /// One of [`answer`].
    pub answer: u16,
    /// The errno of [`answer::ERRNO`], else 0.
    pub errno: u16,
    /// How many of the thread's filters its own program has loaded since the application's exec.
    pub own: u16,
    /// The thread's top filter ([`FilterHead::id`]); 0: not known.
    pub filter: u32,
    /// 1: the thread was traced by ptrace(2).
    pub traced: u32,
}

/// What a filter answered.
pub mod answer {
    /// An errno.
    pub const ERRNO: u16 = 0;
    /// SIGSYS, which can be handled.
    pub const TRAP: u16 = 1;
    /// The thread's or the process' end.
    pub const KILL: u16 = 2;
    /// A value that is no error: another process (SECCOMP_RET_USER_NOTIF), or an errno of 0.
    pub const VALUE: u16 = 3;
    /// No filter was asked: a tracer has skipped or emulated the call.
    pub const SKIPPED: u16 = 4;
}

/// How often, when first, and by whom.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Denied {
    /// How often.
    pub count: u64,
    /// The first one, in `CLOCK_BOOTTIME`, in ns.
    pub time: u64,
    /// That one's thread's name.
    pub comm: [u8; COMM_LEN],
    /// Its tracer's, where it had one.
    pub tracer: [u8; COMM_LEN],
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// Filters of one slot that get numbers; more are not told apart.
pub const FILTERS_PER_SLOT: u64 = 256;
/// Filters of all slots together that have numbers.
pub const MAX_FILTERS: u32 = 65_536;
/// Links of a thread's chain of filters that are taken at once.
pub const LINKS: u32 = 32;
/// Instructions of the largest programs (`BPF_MAXINSNS`, include/uapi/linux/bpf_common.h).
pub const LONGEST_FILTER: usize = 4096;

/// The key of a filter that has a number.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterKey {
    /// The slot whose thread has it.
    pub slot: u32,
    /// The slot's generation.
    pub generation: u32,
    /// Its address in the kernel, which another one may have later.
    pub address: u64,
}

/// A filter that has a number.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Of what it is: another filter at the same address has another one.
    pub fingerprint: u64,
    /// Its number in the slot, from 1 on.
    pub id: u64,
}

/// What precedes a filter's program: its instructions, eight bytes each, follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterHead {
    /// The slot.
    pub slot: u32,
    /// The slot's generation.
    pub generation: u32,
    /// The filter's number in the slot.
    pub id: u32,
    /// That of the filter that was loaded before it; 0: it was the first; [`u32::MAX`]: not known.
    pub below: u32,
    /// How many instructions.
    pub length: u32,
    /// Zero.
    pub _pad: u32,
}

/// The call in which a thread is, where the sets alone don't tell: values of a map by thread id.
pub mod inside {
    /// In none.
    pub const NONE: u32 = u32::MAX;
    /// Perhaps in one: it came while it may have been in any.
    pub const ANY: u32 = u32::MAX - 1;
    /// In one that has killed it, which is told already.
    pub const KILLED: u32 = u32::MAX - 2;
}

/// Kinds of an [`Event`].
pub mod event {
    /// A call was seen for the first time in its set.
    pub const FIRST_SEEN: u32 = 0;
    /// A slot was taken.
    pub const SLOT_TAKEN: u32 = 1;
    /// The application was executed.
    pub const APPLICATION: u32 = 2;
    /// A slot's last cgroup is gone.
    pub const DEAD: u32 = 3;
    /// There is a new [`Refused`](super::Refused), or one more that could not be kept.
    pub const REFUSED: u32 = 4;
    /// A kind of [`super::Denial`] came for the first time.
    pub const DENIED: u32 = 5;
    /// A task that may write these tables has called bpf(2): [`super::Slot::could_tamper`].
    pub const COULD_TAMPER: u32 = 6;
    /// A stranger has come into a slot's cgroup.
    pub const FOREIGN: u32 = 7;
    /// A task has left a slot's cgroups, and is recorded on.
    pub const LEFT: u32 = 8;
}

/// The length of a thread's name in the kernel, with the closing zero.
pub const COMM_LEN: usize = 16;

/// News on the ring buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// One of [`event`].
    pub kind: u32,
    /// The slot.
    pub slot: u32,
    /// The slot's generation then.
    pub generation: u32,
    /// A sighting's set; a denial's [`answer`].
    pub set: u16,
    /// The call's ABI.
    pub abi: u16,
    /// The call's number.
    pub number: u32,
    /// Of a slot that was taken, the thread that made the cgroup.
    pub detail: u32,
    /// `CLOCK_BOOTTIME`, in ns.
    pub time: u64,
    /// The thread's name.
    pub comm: [u8; COMM_LEN],
}

impl Event {
    /// Nothing has happened.
    pub const NONE: Self = Self {
        kind: event::FIRST_SEEN,
        slot: 0,
        generation: 0,
        set: 0,
        abi: 0,
        number: 0,
        detail: 0,
        time: 0,
        comm: [0; COMM_LEN],
    };
}

/// Counted over the whole session.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Cgroups that were put among the [`Refused`].
    pub refused: u64,
    /// Those for which there was no room any more: nobody knows which.
    pub refused_lost: u64,
    /// Events other than sightings that did not fit the ring buffer: user space looks at every slot then.
    pub lost_slot_events: u64,
    /// Attempts to tell of a sighting that did not fit, and calls that could not be kept.
    pub dropped_events: u64,
    /// Those who left a cgroup, or were born elsewhere, while there were some that could not be followed: they may be one.
    pub unknown_leavers: u64,
}

/// Operations of the control program, its first argument.
pub mod control {
    /// `(cgroup, flags, filters_at_exec)`: a slot for a cgroup; returns its number.
    pub const TRACK: u64 = 0;
    /// `(cgroup, slot)`: one more cgroup of a slot; returns the slot.
    pub const ADD_TO_SLOT: u64 = 1;
    /// `(cgroup)`: neither it nor anything below is traced.
    pub const IGNORE: u64 = 2;
    /// `(cgroup)`: as if never tracked: what is made below gets slots of its own.
    pub const UNTRACK: u64 = 3;
    /// `(cgroup, flags)`: one more flag for the slot that it has.
    pub const SET_SLOT_FLAGS: u64 = 4;
    /// `(count)`: so many numbers beyond [`super::NUMBERS`] were taken out of their table.
    pub const DROP_HIGH_NUMBERS: u64 = 5;
    /// `(slot)`: it is known in which calls its threads are.
    pub const SETTLE: u64 = 7;
    /// `(slot, counter)`: its [`super::Sets::counter`].
    pub const COUNT: u64 = 8;
    /// `(slot)`: nobody wants it any more, or it is about to be freed: who has left it is not followed.
    pub const RELEASE: u64 = 9;
    /// Returned where there is no free slot or cell.
    pub const FULL: u32 = u32::MAX;
    /// Returned where the cgroup is already ignored.
    pub const IS_IGNORED: u32 = u32::MAX - 1;
}

/// Where things stand in this kernel, in bytes; from its BTF.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// The word that tells a 32-bit call: `task_struct.thread_info.status` on x86, `.flags` on aarch64.
    pub task_status: u32,
    /// `task_struct.pid`.
    pub task_pid: u32,
    /// `task_struct.tgid`.
    pub task_tgid: u32,
    /// `task_struct.seccomp.filter_count`.
    pub task_filters: u32,
    /// `task_struct.seccomp.mode`.
    pub task_seccomp_mode: u32,
    /// `task_struct.pending.signal`: signals that wait for this thread alone.
    pub task_pending: u32,
    /// `task_struct.start_time`.
    pub task_start: u32,
    /// `task_struct.se.nr_migrations`.
    pub task_migrations: u32,
    /// `task_struct.flags`.
    pub task_flags: u32,
    /// `task_struct.seccomp.filter`.
    pub task_filter: u32,
    /// `task_struct.thread_pid`.
    pub task_thread_pid: u32,
    /// `task_struct.group_leader`.
    pub task_leader: u32,
    /// `task_struct.signal`.
    pub task_signal: u32,
    /// `signal_struct.live`: the process' threads that have not ended.
    pub signal_live: u32,
    /// `seccomp_filter.prev`.
    pub filter_prev: u32,
    /// `pid.level`: that of the namespace that the task is in; the host's is 0.
    pub pid_level: u32,
    /// `pid.numbers`, by level.
    pub pid_numbers: u32,
    /// `upid.nr`.
    pub upid_number: u32,
    /// `upid.ns`.
    pub upid_namespace: u32,
    /// `pid_namespace.child_reaper`: its first process, or a thread of that.
    pub namespace_reaper: u32,
    /// The number of the current call: `pt_regs.orig_ax` on x86, `.syscallno` on aarch64.
    pub regs_number: u32,
    /// `task_struct.cgroups`.
    pub task_cgroups: u32,
    /// `task_struct.fs`.
    pub task_fs: u32,
    /// `fs_struct.root.dentry`.
    pub fs_root: u32,
    /// `css_set.dfl_cgrp`.
    pub css_set_cgroup: u32,
    /// `cgroup.kn`.
    pub cgroup_kn: u32,
    /// `cgroup.root`.
    pub cgroup_root: u32,
    /// `cgroup.level`: the root's is 0.
    pub cgroup_level: u32,
    /// `cgroup.ancestors`, by level, the root's and its own included: pointers; before 6.1 `ancestor_ids`.
    pub cgroup_ancestors: u32,
    /// 1 where the ancestors are ids.
    pub ancestors_are_ids: u32,
    /// `cgroup_root.hierarchy_id`.
    pub root_hierarchy: u32,
    /// `kernfs_node.id`.
    pub kn_id: u32,
    /// `task_struct.ptrace`.
    pub task_ptrace: u32,
    /// `task_struct.parent`: its tracer, where it has one.
    pub task_parent: u32,
    /// `task_struct.comm`.
    pub task_comm: u32,
    /// `seccomp_filter.prog`.
    pub filter_prog: u32,
    /// `seccomp_filter.cache.allow_native`: a bit a number, set where it and all below it let that call in whatever its arguments.
    pub filter_native: u32,
    /// `seccomp_filter.cache.allow_compat`, of 32-bit calls; 0 where the kernel has none.
    pub filter_compat: u32,
    /// `bpf_prog.orig_prog`.
    pub prog_orig: u32,
    /// `sock_fprog_kern.len`.
    pub orig_length: u32,
    /// `sock_fprog_kern.filter`.
    pub orig_filter: u32,
    /// `task_struct.cred`.
    pub task_cred: u32,
    /// `cred.cap_permitted`.
    pub cred_permitted: u32,
    /// `cred.user_ns`.
    pub cred_user_ns: u32,
    /// `user_namespace.level`: the initial one's is 0.
    pub user_ns_level: u32,
}

/// What a session's kernel program is told at load.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Cells of the cgroup table less one; their number is a power of two.
    pub table_mask: u32,
    /// 1: a new cgroup of nobody's gets a slot; 0: only tracked ones and those below them are traced.
    pub track_new: u32,
    /// 1: cgroups are waited for by their paths.
    pub waits: u32,
    /// 1: denials are looked for.
    pub denials: u32,
    /// 1: calls are counted.
    pub watch: u32,
}

macro_rules! shared {
    ($($name:ty = $size:expr),+ $(,)?) => {
        $(
            const _: () = assert!(core::mem::size_of::<$name>() == $size);
            // SAFETY: repr(C), of integers alone, without padding: any bytes are a value.
            #[cfg(feature = "user")]
            unsafe impl aya::Pod for $name {}
        )+
    };
}

shared! {
    Sets = set::COUNT * ABIS * NUMBERS + 8,
    Counts = ABIS * NUMBERS * 8 + 8,
    Slot = 216 + PATH_LEN,
    Made = 32 + PATH_LEN,
    Refused = 8 + PATH_LEN,
    Cell = 16,
    Task = 32,
    Owner = 16,
    HighNumber = 12,
    Denial = 24,
    Denied = 96,
    FilterKey = 16,
    Known = 16,
    FilterHead = 24,
    Event = 48,
    Stats = 40,
    Offsets = 180,
    Config = 20,
}
