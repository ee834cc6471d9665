//! Where one recording's results go, and writing them there.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow};

use super::failures::failures;
use crate::{
    cli::{
        better::{Better, Replacement},
        output::{Output, write_profile},
        printer::Printer,
        trace_options::TraceOptions,
    },
    profile::{self, ProfileError},
    recording::{
        Recording,
        file::{self, Checkpoint},
        file_name::file_name,
    },
    report::coverage,
};

/// Where one container's results go.
#[derive(Debug, Default)]
pub struct OutputPaths {
    pub(super) profile: Option<Output>,
    pub(super) recording: Option<PathBuf>,
    /// The options that take one container only, with the files that this one has instead.
    pub(super) elsewhere: Vec<(&'static str, PathBuf)>,
    /// The same in words.
    pub(super) too_many: Vec<String>,
    checkpoint: RefCell<Option<Checkpoint>>,
    /// That none can be written is said once, until one can.
    has_failed: Cell<bool>,
}

impl OutputPaths {
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let profile = self.profile.as_ref().and_then(Output::file);
        self.recording.as_deref().into_iter().chain(profile)
    }

    /// What checkpoints go beside: the recording, else the profile. None where all goes to stdout.
    pub(super) fn checkpoint_beside(&self) -> Option<&Path> {
        self.files().next()
    }

    /// Where the results go, in words.
    pub fn places(&self) -> String {
        let profile = self.profile.as_ref().map(ToString::to_string);
        let recording = self.recording.as_ref().map(|path| path.display().to_string());
        profile.into_iter().chain(recording).collect::<Vec<_>>().join(" and ")
    }

    /// Writes the files as they would be if this were the end. It goes on, whatever comes of it: who reads a pipe may take nothing
    /// for a while, and gets what there is at the end.
    pub fn write_now(&self, recording: &Recording, options: &TraceOptions, printer: &Printer) {
        if self.files().next().is_none() {
            return printer.note("the profile goes to stdout, at the end");
        }
        let is_now = |path: &Path| !file::is_special(path);
        // This is an end as good as any: the recording says that it goes on, and the profile needs no warning of it.
        let ended = Recording { finished: true, ..recording.clone() };
        let profile = self.profile.as_ref().filter(|output| output.file().is_some_and(is_now));
        let replacement = replacement(recording, options);
        let written = if self.recording.as_deref().is_some_and(is_now) {
            self.write_recording(recording, &replacement, printer)
        } else {
            Ok(())
        };
        if let Err(error) =
            written.and_then(|()| write_one_profile(profile, &ended, options, &replacement, printer))
        {
            printer.warn(format!("not all is written: {error:#}"));
        }
        for path in self.files().filter(|path| !is_now(path)) {
            printer.note(format!("{} is no regular file: it is written at the end", path.display()));
        }
    }

    /// Keeps what is known so far, whole or not at all. A full disk stops nobody: the checkpoint before stays.
    pub fn write_checkpoint(&self, recording: &Recording, printer: &Printer) {
        let Some(beside) = self.checkpoint_beside() else { return };
        let mut checkpoint = self.checkpoint.borrow_mut();
        if checkpoint.is_none() {
            *checkpoint = Checkpoint::beside(beside);
        }
        let Some(checkpoint) = checkpoint.as_mut() else { return };
        let before = checkpoint.path().map_or_else(|| checkpoint.usual(), Path::to_owned);
        match checkpoint.write(recording.to_json().as_bytes()) {
            Ok(()) => {
                self.has_failed.set(false);
                if let Some(path) = checkpoint.path().filter(|path| *path != before) {
                    printer.note(format!("checkpoints of {} go to {}", recording.title(), path.display()));
                }
            }
            Err(error) if !self.has_failed.replace(true) => {
                let kept =
                    checkpoint.path().map_or_else(String::new, |_| "; the one before is kept".to_owned());
                printer.warn(format!("no checkpoint was written: {error:#}{kept}"));
            }
            Err(_) => {}
        }
    }

    /// Nobody needs it any more.
    pub fn remove_checkpoint(&self) {
        if let Some(checkpoint) = self.checkpoint.borrow_mut().as_mut() {
            checkpoint.remove();
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
        let mut errors = failures(recording, options);
        // Also where no profile is made that would say so.
        if let Ok(options) = options.profile.options() {
            profile::told(recording, &options).iter().for_each(|warning| printer.tell(warning));
        }
        // A profile says so itself.
        if self.profile.is_none() && !profile::has_application(recording) {
            errors.push(ProfileError::nothing_seen(std::slice::from_ref(recording)).into());
        }
        let title = recording.title();
        if let Some(coverage) = coverage(recording) {
            printer.note(format!("{title} is {coverage}"));
        }
        let replacement = replacement(recording, options);
        let written = [
            self.write_recording(recording, &replacement, printer),
            write_one_profile(self.profile.as_ref(), recording, options, &replacement, printer),
        ];
        // The facts are in the recording, where that was asked for; what nobody called is no fact.
        let is_lost = match &written {
            [Ok(()), _] if self.recording.is_some() => false,
            [Ok(()), Ok(())] => false,
            all => !recording.syscalls.is_empty() && !all.iter().all(is_nothing_seen),
        };
        let is_saved = !is_lost || self.save_elsewhere(recording, printer);
        match self.checkpoint.borrow_mut().as_mut() {
            // What is in the checkpoint is in the files now, or is nothing.
            Some(checkpoint) if is_saved => checkpoint.remove(),
            Some(checkpoint) => {
                if let Some(path) = checkpoint.path() {
                    printer.note(format!("the last checkpoint is kept: {}", path.display()));
                }
            }
            None => {}
        }
        let failed = written.into_iter().filter_map(Result::err);
        errors.extend(failed.map(|error| error.context(format!("{title}: not all is written"))));
        errors.extend(self.too_many.iter().map(|message| anyhow!("{message}")));
        errors
    }

    /// The recording where there is room. True where that was found.
    fn save_elsewhere(&self, recording: &Recording, printer: &Printer) -> bool {
        let name = format!("{}.recording.json", file_name(recording.title().trim_matches('/')));
        match file::write_elsewhere(&name, recording.to_json().as_bytes()) {
            Ok(path) => {
                let path = path.display();
                printer.warn(format!(
                    "what was seen of {} is in {path}: make a profile of it with `seccomp-trace generate {path} -o FILE`",
                    recording.title()
                ));
                true
            }
            Err(error) => {
                printer.warn(format!(
                    "and there is no room for what was seen of {}: {error}",
                    recording.title()
                ));
                false
            }
        }
    }

    fn write_recording(
        &self,
        recording: &Recording,
        replacement: &Replacement<'_>,
        printer: &Printer,
    ) -> Result<()> {
        if let Some(path) = &self.recording {
            replacement.recording(path, printer)?;
            recording.write(path)?;
            printer.note(format!("the recording of {} is in {}", recording.title(), path.display()));
        }
        Ok(())
    }
}

fn replacement<'r>(recording: &'r Recording, options: &TraceOptions) -> Replacement<'r> {
    let better = if options.strict { Better::Kept } else { Better::Replaced };
    Replacement::new(std::slice::from_ref(recording), better)
}

fn write_one_profile(
    output: Option<&Output>,
    recording: &Recording,
    options: &TraceOptions,
    replacement: &Replacement<'_>,
    printer: &Printer,
) -> Result<()> {
    if let Some(output) = output {
        let built = options.profile.options()?;
        write_profile(
            std::slice::from_ref(recording),
            &built,
            options.profile.format,
            output,
            replacement,
            printer,
        )?;
    }
    Ok(())
}

/// Is this all right, or a profile of nothing?
fn is_nothing_seen(written: &Result<()>) -> bool {
    written.as_ref().err().is_none_or(|error| error.is::<ProfileError>())
}
