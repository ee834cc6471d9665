//! Output files: written beside and renamed, so that a failed run never loses an old file. What is no
//! regular file (`/dev/null`, a FIFO) is opened and written. Under sudo a new file belongs to the user
//! who typed it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// Links followed before we take a path for a loop, as in the kernel (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// A file can't be written. Each message has the path, the reason, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("can't write {}: {problem}", path.display())]
pub struct WriteError {
    /// The path as the user gave it.
    pub path: PathBuf,
    /// Why.
    pub problem: WriteProblem,
}

/// Why a file can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteProblem {
    /// The path is empty.
    #[error("the path is empty; name a file")]
    Empty,
    /// The path is a folder.
    #[error("it is a folder; name a file in it")]
    IsFolder,
    /// A file stands where a folder should.
    #[error("{} is not a folder; choose another path", .0.display())]
    NotAFolder(PathBuf),
    /// The folder does not exist.
    #[error("the folder {folder} does not exist; make it first (mkdir -p {folder})", folder = .0.display())]
    NoFolder(PathBuf),
    /// The file may not be written.
    #[error("the file may not be written ({0}); change its permissions or choose another path")]
    ReadOnly(io::Error),
    /// Nothing may be written in the folder.
    #[error("nothing can be written in the folder {} ({reason}); choose a folder where you may write", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// Writing failed. An old file is unchanged.
    #[error("{0}; an old file there is unchanged")]
    Write(io::Error),
    /// Anything else.
    #[error("{0}; choose another path")]
    Other(io::Error),
}

/// Where a path leads.
enum Place {
    /// Something that is there and is no regular file: opened and written as it is.
    Special,
    /// A regular file, there or not: replaced. Links are followed.
    Regular { file: PathBuf, folder: PathBuf, old: Option<Old> },
}

/// What a new file keeps of the old one.
#[derive(Clone, Copy)]
struct Old {
    mode: u32,
    user: u32,
    group: u32,
}

/// Writes `content` to `path`: all of it, or nothing and the old file stays as it was. An old file's
/// mode and owner are kept; a link stays a link, and the file that it names is replaced.
///
/// # Errors
/// Where the path can't be written; a full disk is one reason. No temporary file is left.
pub fn write(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    let result = match place(path) {
        // Appended: /dev/stdout may be a file into which the shell has written before.
        Ok(Place::Special) => OpenOptions::new()
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(content))
            .map_err(WriteProblem::Other),
        Ok(Place::Regular { file, folder, old }) => replace(&file, &folder, old, content),
        Err(problem) => Err(problem),
    };
    result.map_err(|problem| WriteError { path: path.to_owned(), problem })
}

/// Finds out whether [`write()`] would work now, without leaving or changing anything: to be asked before
/// a long recording starts.
///
/// # Errors
/// As [`write()`].
pub fn check_writable(path: &Path) -> Result<(), WriteError> {
    check(path).map_err(|problem| WriteError { path: path.to_owned(), problem })
}

fn check(path: &Path) -> Result<(), WriteProblem> {
    match place(path)? {
        // Not opened: a FIFO would wait for its reader.
        Place::Special => {
            rustix::fs::access(path, Access::WRITE_OK).map_err(|e| WriteProblem::ReadOnly(e.into()))
        }
        Place::Regular { file, folder, old } => {
            if old.is_some() {
                rustix::fs::access(&file, Access::WRITE_OK).map_err(|e| WriteProblem::ReadOnly(e.into()))?;
            }
            // A file without a name (O_TMPFILE): it is gone even if we are killed here.
            tempfile::tempfile_in(&folder).map(drop).map_err(|error| unwritable(&folder, &error))
        }
    }
}

/// Where a path leads, with its links followed.
fn place(path: &Path) -> Result<Place, WriteProblem> {
    if path.as_os_str().is_empty() {
        return Err(WriteProblem::Empty);
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(WriteProblem::IsFolder),
        Ok(metadata) if !metadata.is_file() || is_of_the_system(path) => return Ok(Place::Special),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(WriteProblem::NotAFolder(folder_of(path)));
        }
        Err(error) => return Err(WriteProblem::Other(error)),
    }
    let file = follow(path)?;
    if file.as_os_str().as_encoded_bytes().ends_with(b"/") || file.file_name().is_none() {
        return Err(WriteProblem::IsFolder);
    }
    let folder = folder_of(&file);
    match fs::metadata(&folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(WriteProblem::NotAFolder(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(WriteProblem::NoFolder(folder)),
        Err(error) => return Err(WriteProblem::Other(error)),
    }
    let old = fs::symlink_metadata(&file).ok().map(|old| Old {
        mode: old.mode() & 0o777,
        user: old.uid(),
        group: old.gid(),
    });
    Ok(Place::Regular { file, folder, old })
}

/// `/dev/stdout` and `/proc/self/fd/1` may lead to a regular file, which its opener goes on writing.
fn is_of_the_system(path: &Path) -> bool {
    ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder)) && !path.starts_with("/dev/shm")
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Follows links, also to a file that is not there yet.
fn follow(path: &Path) -> Result<PathBuf, WriteProblem> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            // An absolute target replaces the whole path.
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(WriteProblem::Other(rustix::io::Errno::LOOP.into()))
}

/// Writes beside, and renames.
fn replace(file: &Path, folder: &Path, old: Option<Old>, content: &[u8]) -> Result<(), WriteProblem> {
    if old.is_some() {
        rustix::fs::access(file, Access::WRITE_OK).map_err(|e| WriteProblem::ReadOnly(e.into()))?;
    }
    // The kernel takes the umask off. Until it has its name, an old file's mode is kept.
    let mode = Permissions::from_mode(old.map_or(0o666, |old| old.mode));
    let mut temporary = tempfile::Builder::new()
        .prefix(".seccomp-trace-")
        .suffix(".tmp")
        .permissions(mode.clone())
        .tempfile_in(folder)
        .map_err(|error| unwritable(folder, &error))?;
    let finish = || -> io::Result<()> {
        temporary.as_file_mut().write_all(content)?;
        if let Some((user, group)) = old.map(|old| (old.user, old.group)).or_else(sudo_user) {
            // Who may not give files away keeps them.
            let _ = std::os::unix::fs::fchown(temporary.as_file(), Some(user), Some(group));
        }
        if old.is_some() {
            // Whole, without the umask.
            temporary.as_file().set_permissions(mode)?;
        }
        temporary.as_file().sync_all()?;
        temporary.persist(file).map_err(|error| error.error)?;
        Ok(())
    };
    finish().map_err(WriteProblem::Write)?;
    // The name lasts only once the folder is on disk; a file system that can't say so is no failure.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// The user and group who typed sudo, if we are root through it.
fn sudo_user() -> Option<(u32, u32)> {
    let id = |name| std::env::var(name).ok()?.parse().ok();
    rustix::process::geteuid().is_root().then_some(())?;
    Some((id("SUDO_UID")?, id("SUDO_GID")?))
}

/// A folder in which no file can be made.
fn unwritable(folder: &Path, error: &io::Error) -> WriteProblem {
    // tempfile adds its own file's path, which means nothing to the user.
    let text = error.to_string();
    let reason = text.split(" at path ").next().unwrap_or_default().to_owned();
    WriteProblem::Folder { folder: folder.to_owned(), reason }
}

#[cfg(test)]
mod tests;
