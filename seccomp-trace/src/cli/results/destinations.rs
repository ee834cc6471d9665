//! Where results may go, as typed.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::plan::OutputPaths;
use crate::{
    cli::output::Output,
    recording::file::{self, Checkpoint},
};

/// Where results may go, as typed.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    /// `-o`: one container's profile.
    pub profile: Option<Output>,
    /// `--output-dir`: each container's profile.
    pub profile_dir: Option<PathBuf>,
    /// `--recording`: one container's recording.
    pub recording: Option<PathBuf>,
    /// `--recording-dir`: each container's recording.
    pub recording_dir: Option<PathBuf>,
}

/// Whose places are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of what `-o` and `--recording` take.
    First,
    /// Those of anything else.
    Further,
}

impl Destinations {
    /// Finds out whether everything can be written, before anything is started.
    ///
    /// # Errors
    /// The first that can't.
    pub fn check(&self) -> Result<()> {
        if let Some(output) = &self.profile {
            output.check()?;
        }
        if let Some(path) = &self.recording {
            file::check_writable(path)?;
        }
        for folder in self.folders() {
            file::check_folder(folder)?;
        }
        if let (Some(Output::File(profile)), Some(recording)) = (&self.profile, &self.recording)
            && real(profile) == real(recording)
            && !profile.metadata().is_ok_and(|old| !old.is_file())
        {
            bail!("-o and --recording are one file, {}: give each its own", profile.display());
        }
        let plan = self.places("", Whose::First, None);
        if let Some(checkpoint) = plan.checkpoint_beside().and_then(Checkpoint::beside)
            && let Some(file) = plan.files().find(|file| real(file) == real(&checkpoint.usual()))
        {
            bail!("{} is where checkpoints are kept meanwhile: give the result another name", file.display());
        }
        Ok(())
    }

    /// Where results go, in words.
    pub fn shown(&self) -> String {
        self.places("*", Whose::First, None).places()
    }

    /// The folders that were named.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        [&self.profile_dir, &self.recording_dir].into_iter().flatten().map(PathBuf::as_path)
    }

    /// The files that were named, the one that has the checkpoints beside it first.
    pub(super) fn named(&self) -> impl Iterator<Item = &Path> {
        let profile = self.profile.as_ref().and_then(Output::file);
        self.recording.as_deref().into_iter().chain(profile)
    }

    /// Is there no folder in which a further container's results could be?
    pub(super) fn needs_elsewhere(&self) -> bool {
        let profile = self.profile.as_ref().filter(|_| self.profile_dir.is_none());
        let recording = self.recording.as_ref().filter(|_| self.recording_dir.is_none());
        profile.is_some_and(|output| output.file().is_none_or(is_in_working_directory))
            || recording.is_some_and(|path| is_in_working_directory(path))
    }

    /// Each container has files of its own name, unless it is the one that `-o` or `--recording` takes. A further one has its
    /// files beside those where they name a folder, and else `elsewhere`: nothing comes unasked into the working directory.
    pub(super) fn places(&self, name: &str, whose: Whose, elsewhere: Option<&Path>) -> OutputPaths {
        let (profile, recording) = (format!("{name}.json"), format!("{name}.recording.json"));
        let beside = |named: Option<&Path>, own: &str| match named {
            Some(named) if !is_in_working_directory(named) => Some(named.with_file_name(own)),
            _ => elsewhere.map(|folder| folder.join(own)),
        };
        let mut plan = OutputPaths::default();
        plan.profile = match (&self.profile_dir, &self.profile) {
            (Some(folder), _) => Some(Output::File(folder.join(profile))),
            (None, output) if whose == Whose::First => output.clone(),
            (None, None) => None,
            (None, Some(output)) => {
                let path = beside(output.file(), &profile);
                plan.elsewhere.extend(path.clone().map(|path| ("-o", path)));
                path.map(Output::File)
            }
        };
        plan.recording = match (&self.recording_dir, &self.recording) {
            (Some(folder), _) => Some(folder.join(recording)),
            (None, file) if whose == Whose::First => file.clone(),
            (None, None) => None,
            (None, Some(file)) => {
                let path = beside(Some(file), &recording);
                plan.elsewhere.extend(path.clone().map(|path| ("--recording", path)));
                path
            }
        };
        plan
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

fn is_in_working_directory(path: &Path) -> bool {
    let folder = folder_of(path).canonicalize();
    folder.is_ok_and(|folder| std::env::current_dir().is_ok_and(|here| here == folder))
}

/// A path without links before its last part.
pub(super) fn real(path: &Path) -> PathBuf {
    let folder = folder_of(path);
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).join(path.file_name().unwrap_or_default())
}
