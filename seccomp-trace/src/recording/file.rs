//! Output files: written beside and renamed, so that a failed run never loses an old file. What is no
//! regular file (`/dev/null`, a FIFO) is opened and written. Under sudo a new file belongs to the user
//! who typed it. In a folder where other users may write, their links are not followed, and their files not opened.

mod checkpoint;
mod elsewhere;
mod locks;
mod owner;
mod place;
mod problem;

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, OFlags};
use rustix::io::Errno;

pub use self::checkpoint::{Checkpoint, Found};
pub use self::elsewhere::{folder_elsewhere, write_elsewhere};
pub use self::locks::Stranger;
use self::owner::{Trusted, sudo_user};
use self::place::{Handle, Place, Regular, folder_of, resolve};
pub use self::problem::{WriteError, WriteProblem};
use crate::launch::Ends;

/// The largest old file that is read.
const LARGEST: u64 = 64 << 20;

/// How long a FIFO may take to find its reader.
const READER: Duration = Duration::from_secs(2);

/// How often somebody who waits for a reader looks whether he shall go on. Signals are answered within 100 ms.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Writes `content` to `path`: all of it, or nothing and the old file stays as it was. An old file's
/// mode and owner are kept where the owner is us, root, or who typed sudo; a link stays a link, and the
/// file that it names is replaced.
///
/// # Errors
/// Where the path can't be written; a full disk is one reason. No temporary file is left.
pub fn write(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    with(path, true, |place| match place {
        // Appended: /dev/stdout may be a file into which the shell has written before.
        Place::Special(handle) => open_special(&handle.path())
            .and_then(|file| write_special(file, content))
            .map_err(WriteProblem::Other),
        Place::Regular(file) => replace(&file, content, true, Over::Old).map(drop),
    })
}

/// Is something there that is no regular file?
#[must_use]
pub fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|there| !there.is_file())
}

/// Keeps a file that is to be written for this process, until that ends; nothing is made. A device or a pipe is everybody's.
///
/// # Errors
/// [`WriteProblem::InUse`] where another recorder writes it, and as [`write()`].
pub fn lock(path: &Path) -> Result<Option<Stranger>, WriteError> {
    with(path, true, |place| match place {
        Place::Special(_) => Ok(None),
        Place::Regular(file) => locks::lock(&file.folder, &file.name, &Trusted::of_process()),
    })
}

/// Makes a folder, with all above it, where it is not there.
///
/// # Errors
/// Where it can't be made, or something else is there.
pub fn make_folder(path: &Path) -> Result<(), WriteError> {
    place::make_folder(path, &Trusted::of_process())
        .map(drop)
        .map_err(|problem| WriteError { path: path.to_owned(), problem })
}

/// Finds out whether files could be written in a folder that is there or that [`make_folder`] could make, without
/// leaving or changing anything.
///
/// # Errors
/// Where they couldn't.
pub fn check_folder(path: &Path) -> Result<(), WriteError> {
    let mut there = path.to_owned();
    loop {
        let problem = match place::open_folder(&there, &Trusted::of_process()) {
            Ok(folder) => match may_make_files(&folder, &there) {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            },
            Err(WriteProblem::NoFolder(_)) => {
                there = folder_of(&there);
                continue;
            }
            Err(problem) => problem,
        };
        return Err(WriteError { path: path.to_owned(), problem });
    }
}

/// A FIFO without a reader would hold us for ever, signals and all: one is waited for, for a while.
fn open_special(path: &Path) -> io::Result<File> {
    const NO_READER: i32 = rustix::io::Errno::NXIO.raw_os_error();
    let deadline = Instant::now() + READER;
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    loop {
        match OpenOptions::new().append(true).custom_flags(nonblocking).open(path) {
            Err(error) if error.raw_os_error() == Some(NO_READER) => {
                if Instant::now() > deadline {
                    return Err(io::Error::other("nobody reads it"));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

/// A reader who takes nothing for a while may take all later: waited for, until a signal asks us to end.
fn write_special(mut file: File, mut content: &[u8]) -> io::Result<()> {
    let ends = Ends::until_now();
    while !content.is_empty() {
        match file.write(content) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => content = content.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let is_ready = match poll(&mut [PollFd::new(&file, PollFlags::OUT)], Some(&LOOK)) {
                    Err(Errno::INTR) => false,
                    polled => polled? > 0,
                };
                if !is_ready && ends.has_more() {
                    return Err(io::Error::other("interrupted while nothing read it"));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Finds out whether [`write()`] would work now, without leaving or changing anything: to be asked before
/// a long recording starts.
///
/// # Errors
/// As [`write()`].
pub fn check_writable(path: &Path) -> Result<(), WriteError> {
    with(path, true, |place| match place {
        // Not opened: a FIFO would wait for its reader.
        Place::Special(handle) => may_write(&handle),
        Place::Regular(file) => {
            file.old.as_ref().map_or(Ok(()), |old| may_write(&old.handle))?;
            may_make_files(&file.folder, &file.shown)
        }
    })
}

/// By a file without a name (O_TMPFILE): it is gone even if we are killed here.
fn may_make_files(folder: &Handle, shown: &Path) -> Result<(), WriteProblem> {
    tempfile::tempfile_in(folder.path()).map(drop).map_err(|error| WriteProblem::unwritable(shown, &error))
}

fn with<T>(
    path: &Path,
    follow: bool,
    act: impl FnOnce(Place) -> Result<T, WriteProblem>,
) -> Result<T, WriteError> {
    resolve(path, follow, &Trusted::of_process())
        .and_then(act)
        .map_err(|problem| WriteError { path: path.to_owned(), problem })
}

fn may_write(handle: &Handle) -> Result<(), WriteProblem> {
    rustix::fs::access(handle.path(), Access::WRITE_OK).map_err(|error| WriteProblem::ReadOnly(error.into()))
}

/// What is at the place of a file that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub enum Old {
    /// No file that could be read.
    None,
    /// Another user's file, which is not opened.
    Foreign,
    /// A file of ours.
    Content(Vec<u8>),
}

/// What [`write()`] would replace. Nothing is waited for.
#[must_use]
pub fn old(path: &Path) -> Old {
    let Ok(Place::Regular(Regular { old: Some(old), .. })) = resolve(path, true, &Trusted::of_process())
    else {
        return Old::None;
    };
    if old.kept.is_none() {
        return Old::Foreign;
    }
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut content = Vec::new();
    let read = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(old.handle.path())
        .and_then(|file| file.take(LARGEST).read_to_end(&mut content));
    read.map_or(Old::None, |_| Old::Content(content))
}

/// What a new file may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// Whatever has its name.
    Old,
    /// Nothing: it fails as [`WriteProblem::Taken`].
    Nothing,
}

/// Writes beside, and renames. Where `lasting`, it is on disk afterwards. Returns the new file's device and inode.
fn replace(file: &Regular, content: &[u8], lasting: bool, over: Over) -> Result<(u64, u64), WriteProblem> {
    let Regular { folder, shown, name, old } = file;
    old.as_ref().map_or(Ok(()), |old| may_write(&old.handle))?;
    let kept = old.as_ref().and_then(|old| old.kept);
    // The kernel takes the umask off. Until it has its name, an old file's mode is kept.
    let mode = Permissions::from_mode(kept.map_or(0o666, |kept| kept.mode));
    let mut temporary = tempfile::Builder::new()
        .prefix(".seccomp-trace-")
        .suffix(".tmp")
        .permissions(mode.clone())
        .tempfile_in(folder.path())
        .map_err(|error| WriteProblem::unwritable(shown, &error))?;
    let finish = || -> io::Result<File> {
        temporary.as_file_mut().write_all(content)?;
        if let Some((user, group)) = kept.map(|kept| (kept.user, kept.group)).or_else(sudo_user) {
            // Who may not give files away keeps them.
            let _ = std::os::unix::fs::fchown(temporary.as_file(), Some(user), Some(group));
        }
        if kept.is_some() {
            // Whole, without the umask.
            temporary.as_file().set_permissions(mode)?;
        }
        if lasting {
            temporary.as_file().sync_all()?;
        }
        let path = folder.path().join(name);
        match over {
            Over::Old => temporary.persist(path),
            Over::Nothing => temporary.persist_noclobber(path),
        }
        .map_err(|error| error.error)
    };
    let new = finish().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => WriteProblem::Taken,
        _ => WriteProblem::Write(error),
    })?;
    if lasting {
        // The name lasts only once the folder is on disk; a file system that can't say so is no failure.
        let _ = locks::sync(folder);
    }
    new.metadata().map(|its| (its.dev(), its.ino())).map_err(WriteProblem::Other)
}

#[cfg(test)]
mod tests;
