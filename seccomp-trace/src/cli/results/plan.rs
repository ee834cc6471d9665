//! Where one recording's results go, and writing them there.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow};

use super::judge::judge;
use crate::{
    cli::{
        output::{Output, write_profile},
        printer::Printer,
        trace_options::TraceOptions,
    },
    profile::{self, ProfileError},
    recording::Recording,
    report::coverage,
};

/// Where one container's results go.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(super) profile: Option<Output>,
    pub(super) recording: Option<PathBuf>,
    /// The profile could not go where `-o` says: another container's is there.
    pub(super) profile_is_beside: bool,
    /// The recording could not go where `--recording` says: another container's is there.
    pub(super) recording_is_beside: bool,
    /// A checkpoint of ours is there.
    pub(super) has_checkpoint: Cell<bool>,
}

impl Plan {
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let profile = self.profile.as_ref().and_then(Output::file);
        self.recording.as_deref().into_iter().chain(profile)
    }

    /// The options that take one container only, with the files that this one has instead.
    pub(super) fn beside(&self) -> impl Iterator<Item = (&'static str, &Path)> {
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

    /// Where the results go, in words.
    pub fn places(&self) -> String {
        let profile = self.profile.as_ref().map(|output| match output {
            Output::Stdout => "stdout".to_owned(),
            Output::File(path) => path.display().to_string(),
        });
        let recording = self.recording.as_ref().map(|path| path.display().to_string());
        profile.into_iter().chain(recording).collect::<Vec<_>>().join(" and ")
    }

    /// Writes the files as they would be if this were the end. It goes on, whatever comes of it.
    pub fn write_now(&self, recording: &Recording, options: &TraceOptions, printer: &Printer) {
        if self.files().next().is_none() {
            return printer.note("the profile goes to stdout, at the end");
        }
        // This is an end as good as any: the recording says that it goes on, and the profile needs no warning of it.
        let files =
            Self { profile: self.profile.clone().filter(|output| output.file().is_some()), ..self.clone() };
        let ended = Recording { finished: true, ..recording.clone() };
        let written = files.write_recording(recording, printer);
        if let Err(error) = written.and_then(|()| files.write_profile(&ended, options, printer)) {
            printer.warn(format!("not all is written: {error:#}"));
        }
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
        mut recording: Recording,
        options: &TraceOptions,
        printer: &Printer,
    ) -> Vec<anyhow::Error> {
        recording.warn_of_blind_spots();
        let recording = &recording;
        let mut troubles = judge(recording, options);
        // Also where no profile is made that would say so.
        if let Ok(options) = options.profile.options() {
            profile::told(recording, &options).iter().for_each(|warning| printer.tell(warning));
        }
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
        self.write_recording(recording, printer)?;
        self.write_profile(recording, options, printer)
    }

    fn write_recording(&self, recording: &Recording, printer: &Printer) -> Result<()> {
        if let Some(path) = &self.recording {
            recording.write(path)?;
            printer.note(format!("the recording of {} is in {}", recording.title(), path.display()));
        }
        Ok(())
    }

    fn write_profile(&self, recording: &Recording, options: &TraceOptions, printer: &Printer) -> Result<()> {
        if let Some(output) = &self.profile {
            let built = options.profile.options()?;
            write_profile(std::slice::from_ref(recording), &built, options.profile.format, output, printer)?;
        }
        Ok(())
    }
}
