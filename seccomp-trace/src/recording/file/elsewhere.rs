//! Where results go that can't be where they were asked for: a new folder of our own, where there is room.

use std::fs::{Permissions, remove_dir};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::owner::sudo_user;
use super::{WriteError, WriteProblem, write};

/// Where such folders are made, in this order. The last two are in memory.
fn bases() -> [PathBuf; 4] {
    [std::env::temp_dir(), "/var/tmp".into(), "/dev/shm".into(), "/run".into()]
}

/// A new folder that nobody else may enter.
///
/// # Errors
/// Where there is no place for one.
pub fn folder_elsewhere() -> io::Result<PathBuf> {
    let mut problem = io::Error::from(io::ErrorKind::NotFound);
    for base in bases() {
        match make(&base) {
            Ok(folder) => return Ok(folder),
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

/// Writes a file into such a folder, wherever there is room; returns its path. `name` is a file's name.
///
/// # Errors
/// Where there is room nowhere.
pub fn write_elsewhere(name: &str, content: &[u8]) -> Result<PathBuf, WriteError> {
    let mut problem = None;
    for folder in bases().iter().filter_map(|base| make(base).ok()) {
        let path = folder.join(name);
        match write(&path, content) {
            Ok(()) => return Ok(path),
            Err(error) => problem = Some(error),
        }
        let _ = remove_dir(folder);
    }
    let missing = || WriteProblem::Other(io::ErrorKind::NotFound.into());
    let none = || WriteError { path: name.into(), problem: missing() };
    Err(problem.unwrap_or_else(none))
}

fn make(base: &Path) -> io::Result<PathBuf> {
    let private = Permissions::from_mode(0o700);
    let folder =
        tempfile::Builder::new().prefix("seccomp-trace-").permissions(private).tempdir_in(base)?.keep();
    if let Some((user, group)) = sudo_user() {
        let _ = chown(&folder, Some(user), Some(group));
    }
    Ok(folder)
}
