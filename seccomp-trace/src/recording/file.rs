//! Output files: written beside and renamed, so that a failed run never loses an old file. What is no
//! regular file (`/dev/null`, a FIFO) is opened and written. Under sudo a new file belongs to the user
//! who typed it. In a folder where everybody may write, a stranger's file or link is refused.

mod owner;
mod place;
mod problem;

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Access, OFlags};

use self::owner::{Trusted, sudo_user};
use self::place::{Handle, Place, Regular, resolve};
pub use self::problem::{WriteError, WriteProblem};

/// How long a FIFO may take to find its reader.
const READER: Duration = Duration::from_secs(2);

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
            .and_then(|mut file| file.write_all(content))
            .map_err(WriteProblem::Other),
        Place::Regular(file) => replace(&file, content, true),
    })
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
            opened => {
                let file = opened?;
                rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
                return Ok(file);
            }
        }
    }
}

/// As [`write()`], for what is written each second: it survives our end, and not a power cut, because
/// nothing waits for the disk. A link is never followed, and what is no regular file is refused.
///
/// # Errors
/// As [`write()`], and where a link or a device is in the way.
pub fn write_checkpoint(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    with(path, false, |place| match place {
        Place::Special(_) => Err(WriteProblem::NotAFile),
        Place::Regular(file) => replace(&file, content, false),
    })
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
            // A file without a name (O_TMPFILE): it is gone even if we are killed here.
            tempfile::tempfile_in(file.folder.path())
                .map(drop)
                .map_err(|error| WriteProblem::unwritable(&file.shown, &error))
        }
    })
}

fn with(
    path: &Path,
    follow: bool,
    act: impl FnOnce(Place) -> Result<(), WriteProblem>,
) -> Result<(), WriteError> {
    resolve(path, follow, &Trusted::of_process())
        .and_then(act)
        .map_err(|problem| WriteError { path: path.to_owned(), problem })
}

fn may_write(handle: &Handle) -> Result<(), WriteProblem> {
    rustix::fs::access(handle.path(), Access::WRITE_OK).map_err(|error| WriteProblem::ReadOnly(error.into()))
}

/// Writes beside, and renames. Where `lasting`, it is on disk afterwards.
fn replace(file: &Regular, content: &[u8], lasting: bool) -> Result<(), WriteProblem> {
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
    let finish = || -> io::Result<()> {
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
        temporary.persist(folder.path().join(name)).map_err(|error| error.error)?;
        Ok(())
    };
    finish().map_err(WriteProblem::Write)?;
    if lasting {
        // The name lasts only once the folder is on disk; a file system that can't say so is no failure.
        let _ = File::open(folder.path()).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
