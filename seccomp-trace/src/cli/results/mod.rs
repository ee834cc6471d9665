//! What a tracing command leaves behind: a checkpoint while it runs, recordings and profiles at its end.

mod judge;
mod plan;

use std::{
    cell::Cell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
pub use plan::Plan;

use super::output::Output;
use crate::recording::{Target, file, file_name::FileNames};

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

/// Gives out the places.
#[derive(Debug)]
pub struct Results {
    destinations: Destinations,
    names: FileNames,
    taken: BTreeSet<PathBuf>,
    has_first: bool,
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
        for folder in [&self.profile_dir, &self.recording_dir].into_iter().flatten() {
            file::check_writable(&folder.join("profile.json"))?;
        }
        if let (Some(Output::File(profile)), Some(recording)) = (&self.profile, &self.recording)
            && real(profile) == real(recording)
            && !profile.metadata().is_ok_and(|old| !old.is_file())
        {
            bail!("-o and --recording are one file, {}: give each its own", profile.display());
        }
        let plan = self.places("", true);
        if let Some(checkpoint) = plan.checkpoint()
            && let Some(file) = plan.files().find(|file| real(file) == real(&checkpoint))
        {
            bail!("{} is where checkpoints are kept meanwhile: give the result another name", file.display());
        }
        Ok(())
    }

    /// Where results go, in words.
    pub fn shown(&self) -> String {
        self.places("*", true).places()
    }

    /// Each container has files of its own name, unless it is the one that `-o` or `--recording` takes.
    fn places(&self, name: &str, is_first: bool) -> Plan {
        let beside = |file: &Path, ending: &str| file.with_file_name(format!("{name}{ending}"));
        let (profile, recording) = (".json", ".recording.json");
        Plan {
            profile: match (&self.profile_dir, &self.profile) {
                (Some(folder), _) => Some(Output::File(folder.join(format!("{name}{profile}")))),
                (None, output) if is_first => output.clone(),
                (None, Some(Output::File(file))) => Some(Output::File(beside(file, profile))),
                (None, Some(Output::Stdout)) => Some(Output::File(format!("{name}{profile}").into())),
                (None, None) => None,
            },
            recording: match (&self.recording_dir, &self.recording) {
                (Some(folder), _) => Some(folder.join(format!("{name}{recording}"))),
                (None, file) if is_first => file.clone(),
                (None, file) => file.as_ref().map(|file| beside(file, recording)),
            },
            profile_is_beside: !is_first && self.profile_dir.is_none() && self.profile.is_some(),
            recording_is_beside: !is_first && self.recording_dir.is_none() && self.recording.is_some(),
            has_checkpoint: Cell::new(false),
        }
    }
}

/// A path without links before its last part.
fn real(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).join(path.file_name().unwrap_or_default())
}

impl Results {
    /// Nothing given out yet.
    pub fn new(destinations: Destinations) -> Self {
        Self { destinations, names: FileNames::default(), taken: BTreeSet::new(), has_first: false }
    }

    /// The places of one more container. The first takes `-o` and `--recording`.
    pub fn plan(&mut self, target: &Target) -> Plan {
        let is_first = !std::mem::replace(&mut self.has_first, true);
        self.place(target, is_first)
    }

    /// The places of something that nobody may have asked for: never those of `-o` and `--recording`.
    pub fn plan_beside(&mut self, target: &Target) -> Plan {
        self.place(target, false)
    }

    fn place(&mut self, target: &Target, is_first: bool) -> Plan {
        let title = target.title();
        let title = title.trim_matches('/');
        let id = target.containers().first().map_or("", |container| container.id.as_str());
        let Self { destinations, names, taken, .. } = self;
        // A file beside -o is ours to make, and no user's to lose.
        let name = names.unique(title, id, |name| {
            let plan = destinations.places(name, is_first);
            !plan.files().any(|file| taken.contains(&real(file)))
                && !plan.beside().any(|(_, file)| file.exists())
        });
        let plan = destinations.places(&name, is_first);
        taken.extend(plan.files().map(real));
        plan
    }
}
