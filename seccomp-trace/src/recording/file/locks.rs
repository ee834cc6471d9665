//! One recorder for each output file. The lock is a record lock (fcntl(2)) on the *folder*, of one byte at a place that
//! the file's name tells: it needs no file, goes with its process however that ends, and the kernel says whose it is.
//! A folder can be opened for reading only, and so have read locks only, which never exclude each other: who wants one
//! looks for others before and after.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::owner::Trusted;
use super::place::Handle;
use super::problem::WriteProblem;

/// What our locks hang on, by device and inode. A process that closes any descriptor that reads a folder gives up all
/// its locks there (fcntl(2)), so these are never closed, and nothing else opens such a folder for reading.
static FOLDERS: Mutex<BTreeMap<(u64, u64), File>> = Mutex::new(BTreeMap::new());

/// How often two that start in one instant try again.
const TRIES: u32 = 20;

/// A process of a user who is not trusted holds the same lock: it is passed over, and another recorder's could hide behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The process.
    pub pid: i32,
    /// Its user.
    pub user: u32,
}

/// Locks a file of a folder, there or not, until this process ends. Where folders can't be locked there is no lock.
pub(super) fn lock(
    folder: &Handle,
    name: &OsStr,
    trusted: &Trusted,
) -> Result<Option<Stranger>, WriteProblem> {
    let its = folder.stat()?;
    let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = match folders.entry((its.st_dev, its.st_ino)) {
        std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
        std::collections::btree_map::Entry::Vacant(entry) => match File::open(folder.path()) {
            Ok(file) => entry.insert(file),
            Err(_) => return Ok(None),
        },
    };
    let place = place(name);
    let mut holder = None;
    for turn in 0..TRIES {
        holder = other_holder(entry, place)?;
        match holder.map(|pid| stranger(pid, trusted)) {
            Some(None) => break,
            Some(Some(stranger)) => {
                set(entry, place, libc::F_RDLCK)?;
                return Ok(Some(stranger));
            }
            None => {}
        }
        if set(entry, place, libc::F_RDLCK).is_err() {
            return Ok(None);
        }
        holder = other_holder(entry, place)?;
        if holder.is_none() {
            return Ok(None);
        }
        // Both have come in one instant: both go back, and not for the same time.
        set(entry, place, libc::F_UNLCK)?;
        let pause = 1 + (std::process::id() + turn) % 13;
        std::thread::sleep(Duration::from_millis(pause.into()));
    }
    holder.map_or(Ok(None), |pid| Err(WriteProblem::InUse { pid }))
}

/// Makes a folder's names lasting, without a descriptor that would take its locks away.
pub(super) fn sync(folder: &Handle) -> Result<(), WriteProblem> {
    let its = folder.stat()?;
    let folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    let synced = match folders.get(&(its.st_dev, its.st_ino)) {
        Some(folder) => folder.sync_all(),
        None => File::open(folder.path()).and_then(|folder| folder.sync_all()),
    };
    synced.map_err(WriteProblem::Other)
}

/// A place that two names share no more often than once in 2^62 (FNV-1a, which every version of this program has to use).
fn place(name: &OsStr) -> i64 {
    let hash = name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 2).cast_signed()
}

/// One whose process is of a user who is not trusted. One that is gone, or of another PID namespace, is none.
fn stranger(pid: i32, trusted: &Trusted) -> Option<Stranger> {
    let user = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    (!trusted.has(user)).then_some(Stranger { pid, user })
}

fn set(folder: &File, place: i64, kind: libc::c_int) -> Result<(), WriteProblem> {
    fcntl(folder, libc::F_SETLK, place, kind).map(drop).map_err(WriteProblem::Other)
}

/// Another process that holds the lock.
fn other_holder(folder: &File, place: i64) -> Result<Option<i32>, WriteProblem> {
    // Asked as for a write lock, which any other's read lock would hinder.
    let found = fcntl(folder, libc::F_GETLK, place, libc::F_WRLCK).map_err(WriteProblem::Other)?;
    Ok((libc::c_int::from(found.l_type) != libc::F_UNLCK).then_some(found.l_pid))
}

fn fcntl(folder: &File, command: libc::c_int, place: i64, kind: libc::c_int) -> io::Result<libc::flock> {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: place,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: both commands take a pointer to a flock, which lives through the call.
    match unsafe { libc::fcntl(folder.as_raw_fd(), command, &raw mut lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(lock),
    }
}
