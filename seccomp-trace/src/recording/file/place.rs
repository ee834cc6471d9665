//! Where a path leads. It is resolved once, link by link, and what was found stays open: whoever may
//! change the folder can't put something else in its place between the look and the write.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;

use super::owner::Trusted;
use super::problem::WriteProblem;

/// Links followed before we take a path for a loop, as in the kernel (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;
/// Everybody may write there (and so, where it is sticky, make files and links).
const OTHERS_WRITE: u32 = 0o002;

/// Where a path leads.
pub(super) enum Place {
    /// Something that is there and is no regular file: opened and written as it is.
    Special(Handle),
    /// A regular file, there or not: replaced.
    Regular(Regular),
}

/// The place of a regular file.
pub(super) struct Regular {
    pub folder: Handle,
    /// The folder's name, for messages.
    pub shown: PathBuf,
    pub name: OsString,
    pub old: Option<Old>,
}

/// The file that is there.
pub(super) struct Old {
    pub handle: Handle,
    /// What a new one keeps of it; nothing of a stranger's.
    pub kept: Option<Kept>,
}

#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub mode: u32,
    pub user: u32,
    pub group: u32,
}

/// A thing held by an `O_PATH` descriptor.
pub(super) struct Handle(OwnedFd);

impl Handle {
    fn open(at: impl std::os::fd::AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<Self> {
        openat(at, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty()).map(Self)
    }

    /// A path to just this thing, whatever its name leads to by now; as long as the handle lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    fn stat(&self) -> Result<Stat, WriteProblem> {
        fstat(&self.0).map_err(other)
    }
}

/// Where a path leads. A link is followed if `follow`, and else refused, as is what is no regular file.
pub(super) fn resolve(path: &Path, follow: bool, trusted: &Trusted) -> Result<Place, WriteProblem> {
    if path.as_os_str().is_empty() {
        return Err(WriteProblem::Empty);
    }
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if follow
            && is_of_the_system(&path)
            && let Ok(handle) = Handle::open(CWD, &path, OFlags::empty())
        {
            return match FileType::from_raw_mode(handle.stat()?.st_mode) {
                FileType::Directory => Err(WriteProblem::IsFolder),
                _ => Ok(Place::Special(handle)),
            };
        }
        let shown = folder_of(&path);
        let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let Some(name) = path.file_name().filter(|_| !is_folder).map(OsString::from) else {
            return Err(WriteProblem::IsFolder);
        };
        let folder = Handle::open(CWD, &shown, OFlags::DIRECTORY).map_err(|error| match error {
            Errno::NOENT => WriteProblem::NoFolder(shown.clone()),
            Errno::NOTDIR => WriteProblem::NotAFolder(shown.clone()),
            error => other(error),
        })?;
        let handle = match Handle::open(&folder.0, name.as_ref(), OFlags::NOFOLLOW) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(Place::Regular(Regular { folder, shown, name, old: None })),
            Err(error) => return Err(other(error)),
        };
        let its = handle.stat()?;
        let kind = FileType::from_raw_mode(its.st_mode);
        if kind == FileType::Directory {
            return Err(WriteProblem::IsFolder);
        }
        if !trusted.has(its.st_uid) && folder.stat()?.st_mode & OTHERS_WRITE != 0 {
            return Err(WriteProblem::Foreign { file: path, user: its.st_uid });
        }
        match kind {
            FileType::RegularFile => {
                let kept = Kept { mode: its.st_mode & 0o777, user: its.st_uid, group: its.st_gid };
                let kept = trusted.has(its.st_uid).then_some(kept);
                let old = Some(Old { handle, kept });
                return Ok(Place::Regular(Regular { folder, shown, name, old }));
            }
            _ if !follow => return Err(WriteProblem::NotAFile),
            FileType::Symlink => {
                let target = readlinkat(&handle.0, "", Vec::new()).map_err(other)?;
                // An absolute target replaces the whole path.
                path = shown.join(OsStr::from_bytes(target.as_bytes()));
            }
            _ => return Ok(Place::Special(handle)),
        }
    }
    Err(other(Errno::LOOP))
}

fn other(error: Errno) -> WriteProblem {
    WriteProblem::Other(error.into())
}

/// `/dev/stdout` and `/proc/self/fd/1` may lead to a regular file, which its opener goes on writing.
fn is_of_the_system(path: &Path) -> bool {
    ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder)) && !path.starts_with("/dev/shm")
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
