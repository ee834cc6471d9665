//! What a tracing command leaves behind: a checkpoint while it runs, recordings and profiles at its end.

use std::{
    cell::Cell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow, bail};

use super::{
    output::{Output, write_profile},
    printer::Printer,
    trace_options::TraceOptions,
};
use crate::{
    profile::{self, ProfileError},
    recording::{Boundary, FoundBy, Recording, Target, file, file_name::FileNames},
    report::coverage,
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

/// Where one container's results go.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    profile: Option<Output>,
    recording: Option<PathBuf>,
    /// The profile could not go where `-o` says: another container's is there.
    profile_is_beside: bool,
    /// The recording could not go where `--recording` says: another container's is there.
    recording_is_beside: bool,
    /// A checkpoint of ours is there.
    has_checkpoint: Cell<bool>,
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

impl Plan {
    fn files(&self) -> impl Iterator<Item = &Path> {
        let profile = self.profile.as_ref().and_then(Output::file);
        self.recording.as_deref().into_iter().chain(profile)
    }

    /// The options that take one container only, with the files that this one has instead.
    fn beside(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let profile = self.profile.as_ref().and_then(Output::file).filter(|_| self.profile_is_beside);
        let recording = self.recording.as_deref().filter(|_| self.recording_is_beside);
        profile.map(|file| ("-o", file)).into_iter().chain(recording.map(|file| ("--recording", file)))
    }

    /// Where checkpoints go: beside the recording, else beside the profile. None where all goes to stdout.
    pub fn checkpoint(&self) -> Option<PathBuf> {
        // A device or a pipe has no place beside it.
        let path = self.files().next().filter(|path| !path.exists() || path.is_file())?;
        let mut name = path.file_name()?.to_owned();
        name.push(".partial");
        Some(path.with_file_name(name))
    }

    /// Keeps what is known so far, whole or not at all.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn write_checkpoint(&self, recording: &Recording) -> Result<()> {
        match self.checkpoint() {
            Some(path) => {
                self.has_checkpoint.set(true);
                Ok(recording.write_checkpoint(&path)?)
            }
            None => Ok(()),
        }
    }

    /// Nobody needs it any more.
    pub fn remove_checkpoint(&self) {
        if let Some(checkpoint) = self.checkpoint().filter(|_| self.has_checkpoint.get()) {
            let _ = std::fs::remove_file(checkpoint);
        }
    }

    /// Writes the recording, then the profile, and removes the checkpoint. The recording is judged: what fails
    /// the command comes back as errors, with everything written all the same.
    pub fn write(
        &self,
        recording: &Recording,
        options: &TraceOptions,
        printer: &Printer,
    ) -> Vec<anyhow::Error> {
        let mut troubles = judge(recording, options);
        // A profile says so itself.
        if self.profile.is_none() && !profile::has_application(recording) {
            troubles.push(ProfileError::NothingSeen { titles: vec![recording.title().into_owned()] }.into());
        }
        let title = recording.title();
        if let Some(coverage) = coverage(recording) {
            printer.note(format!("{title} is {coverage}"));
        }
        let written = self.write_files(recording, options, printer);
        // What is in the checkpoint is in the files now, or is nothing.
        if let Some(checkpoint) = self.checkpoint().filter(|path| self.has_checkpoint.get() && path.exists())
        {
            if written.is_ok() || recording.syscalls.is_empty() {
                self.remove_checkpoint();
            } else {
                printer.note(format!("the last checkpoint is kept: {}", checkpoint.display()));
            }
        }
        troubles.extend(written.err().map(|error| error.context(format!("{title}: not all is written"))));
        for (option, file) in self.beside() {
            let folder = if option == "-o" { "--output-dir" } else { "--recording-dir" };
            troubles.push(anyhow!(
                "{option} takes one container, and {title} is one more; its file is {}: use {folder}",
                file.display()
            ));
        }
        troubles
    }

    fn write_files(&self, recording: &Recording, options: &TraceOptions, printer: &Printer) -> Result<()> {
        if let Some(path) = &self.recording {
            recording.write(path)?;
            printer.note(format!("the recording of {} is in {}", recording.title(), path.display()));
        }
        if let Some(output) = &self.profile {
            let built = options.profile.options()?;
            write_profile(std::slice::from_ref(recording), &built, options.profile.format, output, printer)?;
        }
        Ok(())
    }
}

/// What in a recording fails the command that made it.
fn judge(recording: &Recording, options: &TraceOptions) -> Vec<anyhow::Error> {
    let title = recording.title();
    let mut troubles = Vec::new();
    if recording.is_incomplete() && !options.allow_incomplete {
        troubles.push(anyhow!(
            "{title}: {} syscalls are lost, the recording is incomplete (--allow-incomplete accepts it)",
            recording.lost.syscalls
        ));
    }
    if options.strict {
        let Boundary { found_by, attached_late } = recording.boundary;
        let less_than_exact = [
            (attached_late, "it was attached late"),
            (found_by == FoundBy::Estimated, "its boundary is estimated"),
            (found_by == FoundBy::Unknown && !attached_late, "nothing of it was seen to start"),
            (recording.lost.events > 0, "times of first sightings are lost"),
            (recording.lost.origins > 0, "origins of tasks are lost"),
        ];
        for (_, what) in less_than_exact.into_iter().filter(|(is_so, _)| *is_so) {
            troubles.push(anyhow!("{title}: {what}, and --strict allows nothing less than exact"));
        }
    }
    troubles
}
