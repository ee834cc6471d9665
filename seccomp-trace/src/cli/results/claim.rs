//! What is done before something is written to a file: kept for this process, and whatever has its names is told.

use std::path::Path;

use crate::{
    cli::printer::Printer,
    recording::file::{self, Checkpoint, Found, Stranger, WriteError},
};

/// Keeps a file for this process.
///
/// # Errors
/// As [`file::lock`].
pub fn claim(path: &Path, printer: Printer) -> Result<(), WriteError> {
    if let Some(Stranger { pid, user }) = file::lock(path)? {
        printer.warn_once(&format!(
            "process {pid} of another user (uid {user}) holds the lock of {}: whether another seccomp-trace writes it, too, \
             can't be known",
            path.display()
        ));
    }
    Ok(())
}

/// Tells of what has the names of a result's checkpoints: it stays as it is.
pub fn tell_found(result: &Path, printer: Printer) {
    let Some(checkpoint) = Checkpoint::beside(result) else { return };
    for found in checkpoint.found() {
        printer.warn(match found {
            Found::Killed(path) => format!(
                "a run that was killed has left a checkpoint, which is kept: {0}; `seccomp-trace generate --allow-incomplete \
                 {0}` makes a profile of it; remove it when it is of no use",
                path.display()
            ),
            Found::Foreign(path) => {
                format!("{} is in the way of checkpoints, and not ours: another name is taken", path.display())
            }
        });
    }
}
