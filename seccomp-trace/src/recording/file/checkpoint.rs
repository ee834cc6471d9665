//! Where a recording is kept while it is made: one file beside the result, replaced each second. It replaces nothing but
//! what it has written itself: a killed run's checkpoint, or whatever else has the name, stays, and another name is taken.

use std::ffi::OsString;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::owner::Trusted;
use super::place::{Place, Regular, resolve};
use super::problem::{WriteError, WriteProblem};
use super::{Over, replace};

/// Names that are tried before one that nobody can have foreseen.
const NAMES: u32 = 99;

/// See the module.
#[derive(Debug)]
pub struct Checkpoint {
    /// The result.
    beside: PathBuf,
    written: Option<Written>,
}

#[derive(Debug)]
struct Written {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

/// What already has a name that is ours.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The checkpoint of a run that was killed.
    Killed(PathBuf),
    /// Something else.
    Foreign(PathBuf),
}

impl Checkpoint {
    /// Checkpoints beside a result. None where that is a device or a pipe, which has no place beside it.
    #[must_use]
    pub fn beside(result: &Path) -> Option<Self> {
        (!result.exists() || result.is_file()).then(|| Self { beside: result.to_owned(), written: None })
    }

    /// The file that has been written.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.written.as_ref().map(|written| written.path.as_path())
    }

    /// The first name that is tried.
    #[must_use]
    pub fn usual(&self) -> PathBuf {
        self.named("partial")
    }

    /// What has our names, up to the first that is free.
    #[must_use]
    pub fn found(&self) -> Vec<Found> {
        let trusted = Trusted::of_process();
        let found = self.names().map_while(|path| match resolve(&path, false, &trusted) {
            Ok(Place::Regular(Regular { old: None, .. })) => None,
            Ok(Place::Regular(Regular { old: Some(old), .. })) if old.kept.is_some() => {
                Some(Found::Killed(path))
            }
            _ => Some(Found::Foreign(path)),
        });
        found.take(NAMES as usize).collect()
    }

    /// Writes the checkpoint, whole or not at all. It survives our end, and not a power cut, because nothing waits for the
    /// disk. No link is followed, and nothing that somebody else has written is replaced.
    ///
    /// # Errors
    /// Where it can't be written: the one before is still there.
    pub fn write(&mut self, content: &[u8]) -> Result<(), WriteError> {
        let trusted = Trusted::of_process();
        let ours = self.written.take();
        let mut result = Err(WriteProblem::Taken);
        let known = ours.as_ref().map(|written| written.path.clone());
        for path in known.into_iter().chain(self.names()) {
            result = match resolve(&path, false, &trusted) {
                Ok(Place::Regular(file)) => {
                    let over = match (&file.old, &ours) {
                        (Some(old), Some(ours)) if old.id == ours.id && path == ours.path => Over::Old,
                        _ => Over::Nothing,
                    };
                    replace(&file, content, false, over)
                }
                Ok(Place::Special(_))
                | Err(WriteProblem::Foreign { .. } | WriteProblem::NotAFile | WriteProblem::IsFolder) => {
                    Err(WriteProblem::Taken)
                }
                Err(problem) => Err(problem),
            };
            match result {
                Err(WriteProblem::Taken) => {}
                Ok(id) => {
                    self.written = Some(Written { path, id });
                    return Ok(());
                }
                Err(_) => break,
            }
        }
        self.written = ours;
        result.map(drop).map_err(|problem| WriteError { path: self.usual(), problem })
    }

    /// Removes what was written, if it is still that.
    pub fn remove(&mut self) {
        if let Some(Written { path, id }) = self.written.take()
            && let Ok(Place::Regular(Regular { folder, name, old: Some(old), .. })) =
                resolve(&path, false, &Trusted::of_process())
            && old.id == id
        {
            let _ = std::fs::remove_file(folder.path().join(name));
        }
    }

    fn named(&self, ending: &str) -> PathBuf {
        let mut name = self.beside.file_name().map(OsString::from).unwrap_or_default();
        name.push(format!(".{ending}"));
        self.beside.with_file_name(name)
    }

    /// `web.json.partial`, `web.json.2.partial` …
    fn names(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let beside = Self { beside: self.beside.clone(), written: None };
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let unforeseen = format!("{}-{now}.partial", std::process::id());
        let counted = (2..=NAMES).map(|count| format!("{count}.partial"));
        iter::once("partial".to_owned())
            .chain(counted)
            .chain([unforeseen])
            .map(move |ending| beside.named(&ending))
    }
}
