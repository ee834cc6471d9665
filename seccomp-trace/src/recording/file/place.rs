//! Where a path leads. It is resolved part by part and link by link, and what was found stays open: whoever may
//! change a folder on the way can't put something else in its place between the look and the write.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, PROC_SUPER_MAGIC, Stat, Uid, chownat, fstat, fstatfs, mkdirat,
    openat, readlinkat,
};
use rustix::io::Errno;

use super::owner::{Trusted, sudo_user};
use super::problem::WriteProblem;

/// Links followed before we take a path for a loop, as in the kernel (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;
/// Everybody may write there (and so, where it is sticky, make files and links).
const OTHERS_WRITE: u32 = 0o002;
/// Its group may.
const GROUP_WRITES: u32 = 0o020;

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
    /// Device and inode.
    pub id: (u64, u64),
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
    fn open(at: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<Self> {
        openat(at, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty()).map(Self)
    }

    /// A path to just this thing, whatever its name leads to by now; as long as the handle lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    pub fn stat(&self) -> Result<Stat, WriteProblem> {
        fstat(&self.0).map_err(other)
    }
}

/// Where a path leads. A link is followed if `follow`, and else refused, as is what is no regular file.
pub(super) fn resolve(path: &Path, follow: bool, trusted: &Trusted) -> Result<Place, WriteProblem> {
    if path.as_os_str().is_empty() {
        return Err(WriteProblem::Empty);
    }
    let mut walk = Walk { trusted, links: 0, makes: false };
    let mut path = path.to_owned();
    loop {
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
        let folder = walk.folder(&shown)?;
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
        walk.check(&folder, &its, &path)?;
        match kind {
            FileType::RegularFile => {
                let kept = Kept { mode: its.st_mode & 0o777, user: its.st_uid, group: its.st_gid };
                let kept = trusted.has(its.st_uid).then_some(kept);
                let old = Some(Old { handle, id: (its.st_dev, its.st_ino), kept });
                return Ok(Place::Regular(Regular { folder, shown, name, old }));
            }
            _ if !follow => return Err(WriteProblem::NotAFile),
            FileType::Symlink => {
                let target = walk.target(&handle)?;
                // An absolute target replaces the whole path.
                path = shown.join(target);
            }
            _ => return Ok(Place::Special(handle)),
        }
    }
}

/// A folder; made with all above it where it is not there, for whom typed sudo.
pub(super) fn make_folder(path: &Path, trusted: &Trusted) -> Result<Handle, WriteProblem> {
    Walk { trusted, links: 0, makes: true }.folder(path)
}

/// A folder that is there.
pub(super) fn open_folder(path: &Path, trusted: &Trusted) -> Result<Handle, WriteProblem> {
    Walk { trusted, links: 0, makes: false }.folder(path)
}

/// One path on its way.
struct Walk<'t> {
    trusted: &'t Trusted,
    /// Links followed until now.
    links: usize,
    /// Makes folders that are not there.
    makes: bool,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path) -> Result<Handle, WriteProblem> {
        let start = if path.is_absolute() { "/" } else { "." };
        let mut at = Handle::open(CWD, start.as_ref(), OFlags::DIRECTORY).map_err(other)?;
        let mut rest: VecDeque<OsString> = parts(path).collect();
        let mut shown = PathBuf::from(if path.is_absolute() { "/" } else { "" });
        while let Some(part) = rest.pop_front() {
            shown.push(&part);
            let name = Path::new(&part);
            at = match Handle::open(&at.0, name, OFlags::DIRECTORY | OFlags::NOFOLLOW) {
                Ok(next) => next,
                // A link, or no folder.
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let link = Handle::open(&at.0, name, OFlags::NOFOLLOW).map_err(other)?;
                    let its = link.stat()?;
                    if FileType::from_raw_mode(its.st_mode) != FileType::Symlink {
                        return Err(WriteProblem::NotAFolder(path.to_owned()));
                    }
                    self.check(&at, &its, &shown)?;
                    if fstatfs(&link.0).is_ok_and(|its| its.f_type == PROC_SUPER_MAGIC) {
                        // What its text says is not always where it leads.
                        Handle::open(&at.0, name, OFlags::DIRECTORY)
                            .map_err(|_| WriteProblem::NotAFolder(path.to_owned()))?
                    } else {
                        let target = PathBuf::from(self.target(&link)?);
                        parts(&target)
                            .collect::<Vec<_>>()
                            .into_iter()
                            .rev()
                            .for_each(|part| rest.push_front(part));
                        if target.is_absolute() {
                            shown = PathBuf::from("/");
                            Handle::open(CWD, "/".as_ref(), OFlags::DIRECTORY).map_err(other)?
                        } else {
                            shown.pop();
                            at
                        }
                    }
                }
                Err(Errno::NOENT) if self.makes => {
                    self.make(&at, name, path)?;
                    rest.push_front(part);
                    shown.pop();
                    at
                }
                Err(Errno::NOENT) => return Err(WriteProblem::NoFolder(path.to_owned())),
                Err(error) => return Err(other(error)),
            };
        }
        Ok(at)
    }

    fn make(&mut self, at: &Handle, name: &Path, path: &Path) -> Result<(), WriteProblem> {
        match mkdirat(&at.0, name, Mode::from_raw_mode(0o777)) {
            // Somebody else has made it meanwhile, and may take it away again.
            Err(Errno::EXIST) => return self.count(),
            Err(error) => return Err(WriteProblem::NotMade { folder: path.to_owned(), error: error.into() }),
            Ok(()) => {}
        }
        // Where somebody else may have put another one there by now, it stays ours.
        let around = at.stat()?;
        let is_shared = self.trusted.is_shared(around.st_uid, around.st_mode);
        if let Some((user, group)) = sudo_user().filter(|_| !is_shared) {
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            let _ = chownat(&at.0, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW);
        }
        Ok(())
    }

    /// Refuses what is a stranger's where a stranger may put things. A regular file of the folder's own owner is
    /// none: it is replaced, and never opened.
    fn check(&self, folder: &Handle, its: &Stat, shown: &Path) -> Result<(), WriteProblem> {
        let around = folder.stat()?;
        let is_shared = self.trusted.is_shared(around.st_uid, around.st_mode);
        let is_regular = FileType::from_raw_mode(its.st_mode) == FileType::RegularFile;
        let is_owners = is_regular && its.st_uid == around.st_uid && around.st_mode & OTHERS_WRITE == 0;
        if self.trusted.has(its.st_uid) || !is_shared || is_owners {
            return Ok(());
        }
        Err(WriteProblem::Foreign { file: shown.to_owned(), user: its.st_uid })
    }

    fn target(&mut self, link: &Handle) -> Result<OsString, WriteProblem> {
        self.count()?;
        let target = readlinkat(&link.0, "", Vec::new()).map_err(other)?;
        Ok(OsStr::from_bytes(target.as_bytes()).to_owned())
    }

    fn count(&mut self) -> Result<(), WriteProblem> {
        self.links += 1;
        if self.links > MOST_LINKS { Err(other(Errno::LOOP)) } else { Ok(()) }
    }
}

impl Trusted {
    /// May somebody who is not trusted put things into a folder of this owner and mode?
    fn is_shared(&self, owner: u32, mode: u32) -> bool {
        !self.has(owner) || mode & (OTHERS_WRITE | GROUP_WRITES) != 0
    }
}

/// Without what names the folder itself.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn other(error: Errno) -> WriteProblem {
    WriteProblem::Other(error.into())
}

/// `/dev/stdout` and `/proc/self/fd/1` may lead to a regular file, which its opener goes on writing.
fn is_of_the_system(path: &Path) -> bool {
    let is_descriptor = path.starts_with("/proc") && folder_of(path).ends_with("fd");
    is_descriptor || (path.starts_with("/dev") && !path.starts_with("/dev/shm"))
}

pub(super) fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
