//! Where fields stand in the running kernel's structures, from its BTF (`/sys/kernel/btf/vmlinux`).
//!
//! A small reader of our own: the kernel program needs 45 offsets, aya keeps members to itself, and a general
//! BTF library takes 90 ms to index what is read here in a few.
//! The format: <https://docs.kernel.org/bpf/btf.html>.

use std::{
    borrow::Cow,
    fs::File,
    path::{Path, PathBuf},
};

use memmap2::MmapOptions;
use seccomp_trace_common::Offsets;
use thiserror::Error;

/// Where the kernel shows its BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Of a task: what tells a 32-bit call. Of its registers: a call's number.
#[cfg(not(target_arch = "aarch64"))]
const STATUS_AND_NUMBER: [&str; 2] = ["thread_info.status", "orig_ax"];
#[cfg(target_arch = "aarch64")]
const STATUS_AND_NUMBER: [&str; 2] = ["thread_info.flags", "syscallno"];

/// The structures that are looked into.
const STRUCTURES: [&str; 16] = [
    "task_struct",
    "pt_regs",
    "fs_struct",
    "css_set",
    "cgroup",
    "cgroup_root",
    "kernfs_node",
    "signal_struct",
    "seccomp_filter",
    "bpf_prog",
    "sock_fprog_kern",
    "cred",
    "user_namespace",
    "pid",
    "upid",
    "pid_namespace",
];
/// A kernel that has this function preempts the programs of raw tracepoints of system calls (7.2).
const PREEMPTS: &str = "trace_call_bpf_faultable";

const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
/// Where type 0 begins: it does not stand in the file.
const VOID: u32 = u32::MAX;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_FUNCTION: u32 = 12;

/// Why the offsets could not be read.
#[derive(Debug, Error)]
pub enum BtfError {
    /// The kernel shows no BTF.
    #[error("kernel BTF not found at {} ({source}); it needs CONFIG_DEBUG_INFO_BTF=y", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no BTF of this machine.
    #[error("the kernel's type information is not readable as BTF: {0}")]
    Malformed(&'static str),
    /// A structure has changed.
    #[error("this kernel's {0} has no field {1}: seccomp-trace does not know this kernel")]
    NoField(&'static str, &'static str),
}

/// What the kernel program must know of the running kernel.
pub struct Kernel {
    /// Where fields stand.
    pub offsets: Offsets,
    /// Does it preempt the programs of raw tracepoints of system calls?
    pub preempts: bool,
}

/// Looks at the running kernel.
///
/// # Errors
/// Where there is no BTF, or a field is not in it.
pub fn kernel() -> Result<Kernel, BtfError> {
    let path = Path::new(VMLINUX);
    let unreadable = |source| BtfError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // Older kernels (before 6.16) let it be read only, by a page at a time.
    // SAFETY: the kernel's own memory, which does not change.
    let mapped = unsafe { MmapOptions::new().map_copy_read_only(&file) }.ok();
    let data = match &mapped {
        Some(mapped) => Cow::Borrowed(&mapped[..]),
        None => Cow::Owned(std::fs::read(path).map_err(unreadable)?),
    };
    let btf = Btf::parse(&data)?;
    // Before 6.1 they were ids (kernel commit 7f203bc89eb6).
    let (cgroup_ancestors, are_ids) = match btf.offset("cgroup", "ancestors") {
        Ok(offset) => (offset, false),
        Err(error) => (btf.offset("cgroup", "ancestor_ids").map_err(|_| error)?, true),
    };
    let offsets = Offsets {
        task_status: btf.offset("task_struct", STATUS_AND_NUMBER[0])?,
        task_pid: btf.offset("task_struct", "pid")?,
        task_tgid: btf.offset("task_struct", "tgid")?,
        task_filters: btf.offset("task_struct", "seccomp.filter_count")?,
        task_seccomp_mode: btf.offset("task_struct", "seccomp.mode")?,
        task_pending: btf.offset("task_struct", "pending.signal")?,
        task_start: btf.offset("task_struct", "start_time")?,
        task_migrations: btf.offset("task_struct", "se.nr_migrations")?,
        task_flags: btf.offset("task_struct", "flags")?,
        task_filter: btf.offset("task_struct", "seccomp.filter")?,
        task_thread_pid: btf.offset("task_struct", "thread_pid")?,
        task_leader: btf.offset("task_struct", "group_leader")?,
        task_signal: btf.offset("task_struct", "signal")?,
        signal_live: btf.offset("signal_struct", "live")?,
        filter_prev: btf.offset("seccomp_filter", "prev")?,
        pid_level: btf.offset("pid", "level")?,
        pid_numbers: btf.offset("pid", "numbers")?,
        upid_number: btf.offset("upid", "nr")?,
        upid_namespace: btf.offset("upid", "ns")?,
        namespace_reaper: btf.offset("pid_namespace", "child_reaper")?,
        regs_number: btf.offset("pt_regs", STATUS_AND_NUMBER[1])?,
        task_cgroups: btf.offset("task_struct", "cgroups")?,
        task_fs: btf.offset("task_struct", "fs")?,
        fs_root: btf.offset("fs_struct", "root.dentry")?,
        css_set_cgroup: btf.offset("css_set", "dfl_cgrp")?,
        cgroup_kn: btf.offset("cgroup", "kn")?,
        cgroup_root: btf.offset("cgroup", "root")?,
        cgroup_level: btf.offset("cgroup", "level")?,
        cgroup_ancestors,
        ancestors_are_ids: u32::from(are_ids),
        root_hierarchy: btf.offset("cgroup_root", "hierarchy_id")?,
        kn_id: btf.offset("kernfs_node", "id")?,
        task_ptrace: btf.offset("task_struct", "ptrace")?,
        task_parent: btf.offset("task_struct", "parent")?,
        task_comm: btf.offset("task_struct", "comm")?,
        filter_prog: btf.offset("seccomp_filter", "prog")?,
        filter_native: btf.offset("seccomp_filter", "cache.allow_native")?,
        // Where the kernel runs 32-bit programs.
        filter_compat: btf.offset("seccomp_filter", "cache.allow_compat").unwrap_or(0),
        prog_orig: btf.offset("bpf_prog", "orig_prog")?,
        orig_length: btf.offset("sock_fprog_kern", "len")?,
        orig_filter: btf.offset("sock_fprog_kern", "filter")?,
        task_cred: btf.offset("task_struct", "cred")?,
        cred_permitted: btf.offset("cred", "cap_permitted")?,
        cred_user_ns: btf.offset("cred", "user_ns")?,
        user_ns_level: btf.offset("user_namespace", "level")?,
    };
    Ok(Kernel { offsets, preempts: btf.preempts })
}

/// Parsed BTF: where each type begins.
struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    starts: Vec<u32>,
    /// Those of [`STRUCTURES`], each as often as it is there.
    structures: Vec<(&'static str, usize)>,
    preempts: bool,
}

/// One structure or union.
struct Composite<'a> {
    /// Twelve bytes a member: name, type, offset in bits.
    members: &'a [u8],
    /// With it set, an offset's upper eight bits are a bit field's size.
    has_bitfields: bool,
}

impl<'a> Btf<'a> {
    fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        let short = || BtfError::Malformed("it ends early");
        if data.len() < HEADER || u16::from_ne_bytes([data[0], data[1]]) != MAGIC {
            return Err(BtfError::Malformed("it does not begin as BTF of this machine"));
        }
        let part = |at: usize| -> Option<&'a [u8]> {
            let start = (word(data, 4)? + word(data, at)?) as usize;
            data.get(start..start + word(data, at + 4)? as usize)
        };
        let (Some(types), Some(strings)) = (part(8), part(16)) else { return Err(short()) };
        let mut btf = Self { types, strings, starts: vec![VOID], structures: Vec::new(), preempts: false };
        let mut at = 0;
        while at < types.len() {
            btf.starts.push(u32::try_from(at).map_err(|_| short())?);
            match btf.kind(at) {
                Some(KIND_STRUCT) => {
                    let found = STRUCTURES.into_iter().find(|name| btf.is_named(at, name));
                    btf.structures.extend(found.map(|name| (name, at)));
                }
                Some(KIND_FUNCTION) => btf.preempts |= btf.is_named(at, PREEMPTS),
                _ => {}
            }
            at += size(types, at).ok_or(BtfError::Malformed("it has a type of an unknown kind"))?;
        }
        Ok(btf)
    }

    /// The offset in bytes of a field of one of [`STRUCTURES`], `.` between the fields of nested structures.
    fn offset(&self, structure: &'static str, path: &'static str) -> Result<u32, BtfError> {
        let mut all = self.structures.iter().filter(|(name, _)| *name == structure);
        all.find_map(|(_, at)| self.field(*at, path)).ok_or(BtfError::NoField(structure, path))
    }

    fn field(&self, at: usize, path: &str) -> Option<u32> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let composite = self.composite(at)?;
        composite.members.chunks_exact(12).find_map(|member| {
            let (member_name, kind, bits) = (word(member, 0)?, word(member, 4)?, word(member, 8)?);
            let offset = if composite.has_bitfields { bits & 0x00ff_ffff } else { bits } / 8;
            match (self.string(member_name)?, rest) {
                // An unnamed structure's fields are its owner's.
                ([], _) => self.field(self.resolve(kind)?, path).map(|inner| offset + inner),
                (found, None) if found == name.as_bytes() => Some(offset),
                (found, Some(rest)) if found == name.as_bytes() => {
                    self.field(self.resolve(kind)?, rest).map(|inner| offset + inner)
                }
                _ => None,
            }
        })
    }

    fn composite(&self, at: usize) -> Option<Composite<'a>> {
        let info = word(self.types, at + 4)?;
        if !matches!(self.kind(at)?, KIND_STRUCT | KIND_UNION) {
            return None;
        }
        let count = (info & 0xffff) as usize;
        Some(Composite {
            members: self.types.get(at + 12..at + 12 + 12 * count)?,
            has_bitfields: info >> 31 == 1,
        })
    }

    /// Through typedef (8), volatile (9), const (10), restrict (11) and type tags (18).
    fn resolve(&self, id: u32) -> Option<usize> {
        let at = *self.starts.get(id as usize).filter(|at| **at != VOID)? as usize;
        match self.kind(at)? {
            8..=11 | 18 => self.resolve(word(self.types, at + 8)?),
            _ => Some(at),
        }
    }

    fn kind(&self, at: usize) -> Option<u32> {
        word(self.types, at + 4).map(|info| (info >> 24) & 0x1f)
    }

    fn is_named(&self, at: usize, name: &str) -> bool {
        let rest = word(self.types, at).and_then(|at| self.strings.get(at as usize..));
        rest.and_then(|rest| rest.strip_prefix(name.as_bytes())).is_some_and(|rest| rest.first() == Some(&0))
    }

    fn string(&self, at: u32) -> Option<&'a [u8]> {
        self.strings.get(at as usize..)?.split(|byte| *byte == 0).next()
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// The size of a type's record: twelve bytes, and what its kind adds.
fn size(types: &[u8], at: usize) -> Option<usize> {
    let info = word(types, at + 4)?;
    let count = (info & 0xffff) as usize;
    let more = match (info >> 24) & 0x1f {
        1 | 14 | 17 => 4,                                 // int, variable, declaration tag
        2 | 7..=KIND_FUNCTION | 16 | 18 => 0, // pointer, forward, modifiers, function, float, type tag
        3 => 12,                              // array
        KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * count, // and data section, 64-bit enumeration
        6 | 13 => 8 * count,                  // enumeration, function prototype
        _ => return None,
    };
    Some(12 + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(Btf::parse(b"no BTF at all, but long enough"), Err(BtfError::Malformed(_))));
        let mut truncated = vec![0; HEADER];
        truncated[..2].copy_from_slice(&MAGIC.to_ne_bytes());
        truncated[4..8].copy_from_slice(&24_u32.to_ne_bytes());
        truncated[12..16].copy_from_slice(&1000_u32.to_ne_bytes());
        assert!(matches!(Btf::parse(&truncated), Err(BtfError::Malformed(_))));
    }
}
