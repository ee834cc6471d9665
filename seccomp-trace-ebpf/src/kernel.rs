//! Reading the kernel's own structures, by the offsets that user space took from BTF.

use core::ptr::read_volatile;

use aya_ebpf::helpers::{bpf_get_current_task_btf, bpf_probe_read_kernel, generated::bpf_task_pt_regs};
use seccomp_trace_common::{ABI_COMPAT, ABI_NATIVE, ABI_X32, Config, Offsets, X32_BIT};

const TS_COMPAT: u32 = 2;
/// `SECCOMP_MODE_DEAD` (kernel/seccomp.c): a filter has killed the thread.
const SECCOMP_MODE_DEAD: u32 = 3;

/// Set at load. In read-only memory, frozen: the verifier takes each field as a constant.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets {
    task_status: 0,
    task_pid: 0,
    task_tgid: 0,
    task_filters: 0,
    task_seccomp_mode: 0,
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
};

/// Set at load, as [`OFFSETS`].
#[unsafe(no_mangle)]
static CONFIG: Config = Config { table_mask: 0, enrol_new: 0, denials: 0, watch: 0 };

macro_rules! offset {
    ($field:ident) => {
        // SAFETY: a static of ours; volatile, because its value comes at load.
        unsafe { read_volatile(&raw const OFFSETS.$field) }
    };
}

/// Is the current call a 32-bit one? `TS_COMPAT` tells it always; the code segment does not.
#[inline(always)]
pub fn is_compat() -> bool {
    let offset = offset!(task_status) as usize;
    // SAFETY: a BTF pointer to the current task, read at a field's offset: checked by the verifier.
    let status = unsafe { *((bpf_get_current_task_btf() as *const u8).add(offset) as *const u32) };
    status & TS_COMPAT != 0
}

/// The ABI of the current call, and its number without x32's bit.
#[inline(always)]
pub fn abi_of(number: u32) -> (usize, u32) {
    if is_compat() {
        (ABI_COMPAT, number)
    } else if number & X32_BIT != 0 && number as i32 > 0 {
        (ABI_X32, number & !X32_BIT)
    } else {
        (ABI_NATIVE, number)
    }
}

/// The number of the call that the current thread is in, or was in last, as it stands in its registers.
#[inline(always)]
pub fn raw_number() -> u32 {
    let offset = offset!(regs_number) as usize;
    // SAFETY: BTF pointers to the current task and its registers, read at a field's offset: checked by the verifier.
    unsafe { *((bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8).add(offset) as *const u64) as u32 }
}

/// As [`raw_number`], with its ABI.
#[inline(always)]
pub fn current_call() -> (usize, u32) {
    abi_of(raw_number())
}

/// The cgroup table's mask.
#[inline(always)]
pub fn table_mask() -> u32 {
    // SAFETY: as in `offset!`.
    unsafe { read_volatile(&raw const CONFIG.table_mask) }
}

/// Does a new cgroup of nobody's get a slot?
pub fn enrols_new() -> bool {
    // SAFETY: as in `offset!`.
    unsafe { read_volatile(&raw const CONFIG.enrol_new) != 0 }
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

fn read<T>(base: u64, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address and fails on a bad one.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) }.ok()
}

/// A `task_struct`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KernelTask(pub u64);

impl KernelTask {
    pub fn current() -> Self {
        // SAFETY: the helper takes nothing and can't fail.
        Self(unsafe { bpf_get_current_task_btf() } as u64)
    }

    pub fn tid(self) -> Option<u32> {
        read(self.0, offset!(task_pid))
    }

    pub fn tgid(self) -> Option<u32> {
        read(self.0, offset!(task_tgid))
    }

    /// How many seccomp filters its calls pass.
    pub fn filters(self) -> Option<u32> {
        read(self.0, offset!(task_filters))
    }

    /// Has a filter killed it?
    pub fn is_killed(self) -> bool {
        read(self.0, offset!(task_seccomp_mode)) == Some(SECCOMP_MODE_DEAD)
    }

    /// The dentry of its root directory: the container's own after pivot_root.
    pub fn root(self) -> Option<u64> {
        read(read(self.0, offset!(task_fs))?, offset!(fs_root))
    }

    /// Its cgroups in all hierarchies, as one address: equal for tasks in the same ones.
    pub fn css_set(self) -> Option<u64> {
        read(self.0, offset!(task_cgroups))
    }

    /// Its cgroup in the default hierarchy.
    pub fn cgroup(self) -> Option<Cgroup> {
        read(self.css_set()?, offset!(css_set_cgroup)).map(Cgroup)
    }
}

/// A `struct cgroup`.
#[derive(Clone, Copy)]
pub struct Cgroup(pub u64);

impl Cgroup {
    /// Is it in the default hierarchy? Ids of the others overlap with its.
    pub fn is_default(self) -> bool {
        read::<u64>(self.0, offset!(cgroup_root)).and_then(|root| read::<u32>(root, offset!(root_hierarchy)))
            == Some(0)
    }

    /// The inode number of its directory; what `bpf_get_current_cgroup_id` returns.
    pub fn id(self) -> Option<u64> {
        read(read(self.0, offset!(cgroup_kn))?, offset!(kn_id))
    }

    /// How deep it lies; the root is at 0.
    pub fn level(self) -> Option<u32> {
        read(self.0, offset!(cgroup_level))
    }

    /// The id of what it lies in at a level that is not deeper than its own.
    pub fn ancestor(self, level: u32) -> Option<u64> {
        let ancestor: u64 = read(self.0 + u64::from(level) * 8, offset!(cgroup_ancestors))?;
        if offset!(ancestors_are_ids) != 0 { Some(ancestor) } else { Self(ancestor).id() }
    }
}
