//! The cgroup v2 hierarchy, wherever it is mounted: alone, or beside v1 (hybrid).

use std::{
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use procfs::process::Process;

use super::HostError;

/// The mounted cgroup v2 hierarchy.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    mount: PathBuf,
}

impl Hierarchy {
    /// Finds where all of it is mounted.
    ///
    /// # Errors
    /// [`HostError::NoCgroup2`], [`HostError::PartOfCgroup2`].
    pub fn find() -> Result<Self, HostError> {
        let mounts = Process::myself()?.mountinfo()?;
        let mut part = None;
        for mount in mounts.into_iter().filter(|mount| mount.fs_type == "cgroup2") {
            // The root of all has no such file (cgroup-v2.rst); that of a cgroup namespace has.
            if mount.root == "/" && !mount.mount_point.join("cgroup.events").exists() {
                return Ok(Self { mount: mount.mount_point });
            }
            part.get_or_insert(mount.mount_point);
        }
        Err(part.map_or(HostError::NoCgroup2, |mount| HostError::PartOfCgroup2 { mount }))
    }

    /// The directory of a cgroup, named from the hierarchy's root (`/docker/…`).
    #[must_use]
    pub fn directory(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }

    /// The name from the root of a cgroup that the user gave: as such a name, or as its directory.
    #[must_use]
    pub fn path_of(&self, given: &str) -> String {
        let absolute = Path::new(given);
        let resolved = fs::canonicalize(absolute).unwrap_or_else(|_| absolute.to_owned());
        let inside = resolved.strip_prefix(&self.mount).map(|path| path.to_string_lossy().into_owned());
        let path = inside.unwrap_or_else(|_| given.to_owned());
        format!("/{}", path.trim_matches('/'))
    }

    /// The cgroup's id, as the kernel program sees it: its directory's inode number.
    ///
    /// # Errors
    /// Where there is no such cgroup.
    pub fn id(&self, path: &str) -> io::Result<u64> {
        fs::metadata(self.directory(path)).map(|metadata| metadata.ino())
    }

    /// The path of the cgroup with this id; none where it is gone.
    #[must_use]
    pub fn path_of_id(&self, id: u64) -> Option<String> {
        // `struct file_handle` with the only kind that cgroups have (`FILEID_KERNFS` in include/linux/exportfs.h).
        #[repr(C)]
        struct Handle {
            bytes: u32,
            kind: i32,
            id: [u8; 8],
        }
        let mut handle = Handle { bytes: 8, kind: 0xfe, id: id.to_ne_bytes() };
        let mount = fs::File::open(&self.mount).ok()?;
        // SAFETY: a whole handle, which the kernel reads; what it opens is ours.
        let opened = unsafe {
            let handle = (&raw mut handle).cast();
            let fd = libc::open_by_handle_at(mount.as_raw_fd(), handle, libc::O_PATH | libc::O_CLOEXEC);
            (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
        }?;
        let path = fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()?;
        Some(format!("/{}", path.strip_prefix(&self.mount).ok()?.to_str()?))
    }

    /// A cgroup and all below it, parents first.
    #[must_use]
    pub fn tree(&self, path: &str) -> Vec<String> {
        let mut found = vec![path.to_owned()];
        let mut next = 0;
        while let Some(parent) = found.get(next).cloned() {
            next += 1;
            let Ok(entries) = fs::read_dir(self.directory(&parent)) else { continue };
            let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            found.extend(folders.map(|entry| {
                format!("{}/{}", parent.trim_end_matches('/'), entry.file_name().to_string_lossy())
            }));
        }
        found
    }

    /// Is any process in a cgroup, or below it? One file tells, however many cgroups are below (cgroup-v2.rst,
    /// `cgroup.events`; the root has none).
    #[must_use]
    pub fn is_populated(&self, path: &str) -> bool {
        let events = fs::read_to_string(self.directory(path).join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "populated 1")
    }

    /// The processes of one cgroup, without those below it.
    #[must_use]
    pub fn processes(&self, path: &str) -> Vec<i32> {
        self.ids(path, "cgroup.procs")
    }

    /// The threads of one cgroup, without those below it.
    #[must_use]
    pub fn threads(&self, path: &str) -> Vec<u32> {
        self.ids(path, "cgroup.threads")
    }

    fn ids<T: std::str::FromStr>(&self, path: &str, file: &str) -> Vec<T> {
        let listed = fs::read_to_string(self.directory(path).join(file)).unwrap_or_default();
        listed.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

/// The cgroup v2 of a process, from the hierarchy's root (`/proc/PID/cgroup`, the line `0::`).
///
/// # Errors
/// Where there is no such process, or it has none.
pub fn of_process(pid: i32) -> Result<String, HostError> {
    let groups = Process::new(pid)?.cgroups()?;
    groups
        .into_iter()
        .find(|group| group.hierarchy == 0)
        .map(|group| group.pathname)
        .ok_or(HostError::NoCgroup2)
}
