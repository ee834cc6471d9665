//! Why a file can't be written: each message has the path, the reason, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::inspect::host::is_in_container;

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
    #[error("the folder {folder} does not exist; {}", no_folder(.0), folder = .0.display())]
    NoFolder(PathBuf),
    /// The folder does not exist, and can't be made.
    #[error("the folder {} can't be made: {error}; choose another path", folder.display())]
    NotMade {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another recorder writes it.
    #[error("another seccomp-trace is writing it ({}); let that end first, or choose another path", process(*.pid))]
    InUse {
        /// The other one's process; 0 where it is in a PID namespace that is not ours.
        pid: i32,
    },
    /// Something has the name by now.
    #[error("something else has this name; remove it or choose another path")]
    Taken,
    /// The file may not be written.
    #[error("the file may not be written ({0}); change its permissions or choose another path")]
    ReadOnly(io::Error),
    /// Somebody else put something there, in a folder where other users may.
    #[error(
        "{} belongs to another user (uid {user}), in a folder where other users may write, so it may be a \
         trap; remove it or choose another path",
        file.display()
    )]
    Foreign {
        /// The file or link.
        file: PathBuf,
        /// Its owner.
        user: u32,
    },
    /// A checkpoint would have to go through a link, or into a device.
    #[error("a link, or something else that is no file, is in the way of a checkpoint; remove it")]
    NotAFile,
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

impl WriteProblem {
    /// A folder in which no file can be made.
    pub(super) fn unwritable(folder: &Path, error: &io::Error) -> Self {
        // tempfile adds its own file's path, which means nothing to the user.
        let text = error.to_string();
        let reason = text.split(" at path ").next().unwrap_or_default().to_owned();
        Self::Folder { folder: folder.to_owned(), reason }
    }
}

fn process(pid: i32) -> String {
    if pid > 0 { format!("process {pid}") } else { "a process of another PID namespace".to_owned() }
}

fn no_folder(folder: &Path) -> String {
    let folder = folder.display();
    if is_in_container() {
        format!("mount one of the host into this container: --volume=FOLDER:{folder}")
    } else {
        format!("make it first (mkdir -p {folder})")
    }
}
