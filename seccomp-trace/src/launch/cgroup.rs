//! The cgroup of `run`: below the caller's own, with one command in it, gone when we are.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use crate::inspect::cgroup::Hierarchy;

/// The name's beginning; our process id follows, and a number where that name is taken.
const PREFIX: &str = "seccomp-trace.";
/// Names tried: one that a killed run with our process id left behind, still in use, is passed over.
const NAMES: u32 = 100;

/// What to do with processes that a command leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanPolicy {
    /// Move them back to where the command came from.
    MoveBack,
    /// End them.
    Kill,
}

/// A cgroup made for one command. Dropped, it moves what is left in it back, and is removed.
#[derive(Debug)]
pub struct LaunchCgroup {
    hierarchy: Hierarchy,
    parent: String,
    path: String,
    /// As long as this is locked, nobody takes the cgroup for one that a killed run left behind.
    _locked: File,
}

impl LaunchCgroup {
    /// Makes a cgroup below the given one.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn create(hierarchy: &Hierarchy, parent: String) -> io::Result<Self> {
        remove_stale(hierarchy, &parent);
        let first = format!("{}/{PREFIX}{}", parent.trim_end_matches('/'), std::process::id());
        let mut path = first.clone();
        for number in 1..=NAMES {
            match fs::create_dir(hierarchy.directory(&path)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    if let Some(locked) = lock(&hierarchy.directory(&path))? {
                        return Ok(Self { hierarchy: hierarchy.clone(), parent, path, _locked: locked });
                    }
                    // Another run looks at it just now, and may have removed it.
                }
            }
            path = format!("{first}-{number}");
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Its path from the hierarchy's root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file that takes a process in. Opened by us: what counts is who opened it.
    ///
    /// # Errors
    /// Where it can't be opened.
    pub fn procs(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.directory().join("cgroup.procs"))
    }

    /// Is any process in it, or below?
    #[must_use]
    pub fn is_populated(&self) -> bool {
        is_populated(&self.directory())
    }

    /// Those in it and below.
    pub fn processes(&self) -> Vec<i32> {
        let tree = self.hierarchy.tree(&self.path);
        tree.iter().flat_map(|path| self.hierarchy.processes(path)).collect()
    }

    /// Empties it, and returns how many processes were left.
    pub fn clear(&self, left_over: OrphanPolicy) -> usize {
        let mut found = 0;
        if left_over == OrphanPolicy::Kill {
            found = self.processes().len();
            let _ = fs::write(self.directory().join("cgroup.kill"), "1");
        }
        // Processes may fork while they are moved: until none is left.
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.is_populated() && Instant::now() < deadline {
            if left_over == OrphanPolicy::MoveBack {
                found += self.move_back();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        found
    }

    fn move_back(&self) -> usize {
        let home = self.hierarchy.directory(&self.parent).join("cgroup.procs");
        self.processes().iter().filter(|pid| fs::write(&home, pid.to_string()).is_ok()).count()
    }

    fn directory(&self) -> PathBuf {
        self.hierarchy.directory(&self.path)
    }
}

impl Drop for LaunchCgroup {
    fn drop(&mut self) {
        self.clear(OrphanPolicy::MoveBack);
        remove(&self.hierarchy, &self.path);
    }
}

fn is_populated(directory: &Path) -> bool {
    fs::read_to_string(directory.join("cgroup.events"))
        .is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
}

/// Removes a cgroup with all below it. Refused by the kernel while a process is in one.
fn remove(hierarchy: &Hierarchy, path: &str) {
    for path in hierarchy.tree(path).iter().rev() {
        let _ = fs::remove_dir(hierarchy.directory(path));
    }
}

/// Takes a cgroup for ours; none where somebody else has it, or has removed it meanwhile. A lock ends with its holder, whichever
/// PID namespace that one is in: a process id in the cgroup's name would say nothing here.
fn lock(directory: &Path) -> io::Result<Option<File>> {
    let opened = match File::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if flock(&opened, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    let is_there =
        fs::metadata(directory).is_ok_and(|now| opened.metadata().is_ok_and(|ours| ours.ino() == now.ino()));
    Ok(is_there.then_some(opened))
}

/// What a killed seccomp-trace could not remove.
fn remove_stale(hierarchy: &Hierarchy, parent: &str) {
    let Ok(entries) = fs::read_dir(hierarchy.directory(parent)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if pid.is_none() || is_populated(&entry.path()) {
            continue;
        }
        if let Ok(Some(_locked)) = lock(&entry.path()) {
            remove(hierarchy, &format!("{}/{name}", parent.trim_end_matches('/')));
        }
    }
}
