//! What a tracing command leaves behind: a checkpoint while it runs, recordings and profiles at its end.

use std::path::PathBuf;

use anyhow::{Result, anyhow};

use super::{
    output::{Output, write_profile},
    printer::Printer,
    trace_options::TraceOptions,
};
use crate::recording::{Boundary, FoundBy, Recording, Target, file, file_name::FileNames};

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
    /// Its results could not go where `-o` or `--recording` says: another container's are there.
    pub is_beside: bool,
}

/// Gives out the places.
#[derive(Debug)]
pub struct Results {
    destinations: Destinations,
    names: FileNames,
    given: usize,
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
        Ok(())
    }
}

impl Results {
    /// Nothing given out yet.
    pub fn new(destinations: Destinations) -> Self {
        Self { destinations, names: FileNames::default(), given: 0 }
    }

    /// The places of one more container. The first takes `-o` and `--recording`.
    pub fn plan(&mut self, target: &Target) -> Plan {
        let (title, id) = match target {
            Target::Container(container) => (container.name.as_str(), container.id.as_str()),
            Target::Cgroup { path } => (path.trim_matches('/'), ""),
            Target::Command { argv } => (argv.first().map_or("command", String::as_str), ""),
        };
        let name = self.names.unique(title, id);
        let Destinations { profile, profile_dir, recording, recording_dir } = &self.destinations;
        let is_beside = self.given > 0 && (profile.is_some() || recording.is_some());
        self.given += 1;
        let beside = |file: &PathBuf, ending: &str| file.with_file_name(format!("{name}{ending}"));
        Plan {
            profile: match (profile_dir, profile) {
                (Some(folder), _) => Some(Output::File(folder.join(format!("{name}.json")))),
                (None, Some(Output::File(file))) if is_beside => Some(Output::File(beside(file, ".json"))),
                (None, Some(Output::Stdout)) if is_beside => {
                    Some(Output::File(format!("{name}.json").into()))
                }
                (None, output) => output.clone(),
            },
            recording: match (recording_dir, recording) {
                (Some(folder), _) => Some(folder.join(format!("{name}.recording.json"))),
                (None, Some(file)) if is_beside => Some(beside(file, ".recording.json")),
                (None, file) => file.clone(),
            },
            is_beside,
        }
    }
}

impl Plan {
    /// Where checkpoints go: beside the recording, else beside the profile. None where all goes to stdout.
    pub fn checkpoint(&self) -> Option<PathBuf> {
        let profile = self.profile.as_ref().and_then(|output| match output {
            Output::File(path) => Some(path),
            Output::Stdout => None,
        });
        // A device or a pipe has no place beside it.
        let path = self.recording.as_ref().or(profile).filter(|path| !path.exists() || path.is_file())?;
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
            Some(path) => Ok(recording.write(&path)?),
            None => Ok(()),
        }
    }

    /// Nobody needs it any more.
    pub fn remove_checkpoint(&self) {
        if let Some(checkpoint) = self.checkpoint() {
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
        let title = recording.title();
        let written = self.write_files(recording, options, printer);
        // What is in the checkpoint is in the files now, or is nothing.
        if let Some(checkpoint) = self.checkpoint().filter(|path| path.exists()) {
            if written.is_ok() || recording.syscalls.is_empty() {
                self.remove_checkpoint();
            } else {
                printer.note(format!("the last checkpoint is kept: {}", checkpoint.display()));
            }
        }
        troubles.extend(written.err().map(|error| error.context(format!("{title}: not all is written"))));
        if self.is_beside
            && let Some(Output::File(path)) = &self.profile
        {
            troubles.push(anyhow!(
                "-o takes one container, and {title} is one more; its profile is in {}: use --output-dir",
                path.display()
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
            (recording.lost.events > 0, "times of first sightings are lost"),
            (recording.lost.origins > 0, "origins of tasks are lost"),
        ];
        for (_, what) in less_than_exact.into_iter().filter(|(is_so, _)| *is_so) {
            troubles.push(anyhow!("{title}: {what}, and --strict allows nothing less than exact"));
        }
    }
    troubles
}
