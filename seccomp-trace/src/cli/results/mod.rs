//! What a tracing command leaves behind: a checkpoint while it runs, recordings and profiles at its end.

mod claim;
mod destinations;
mod failures;
mod plan;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Result;
use claim::{claim, tell_found};
pub use destinations::Destinations;
use destinations::{Whose, real};
pub use plan::OutputPaths;

use super::printer::Printer;
use crate::recording::{
    Target,
    file::{self, WriteError, WriteProblem},
    file_name::FileNames,
};

/// Gives out the places.
#[derive(Debug)]
pub struct OutputAllocator {
    destinations: Destinations,
    printer: Printer,
    names: FileNames,
    taken: BTreeSet<PathBuf>,
    /// What has `-o` and `--recording`.
    first: Option<String>,
    /// Where those go that nobody has named a place for.
    elsewhere: Option<PathBuf>,
}

impl OutputAllocator {
    /// Nothing given out yet. The folders are made, and `-o` and `--recording` are kept for this process.
    ///
    /// # Errors
    /// Where a folder can't be made, or another recorder has a file.
    pub fn new(destinations: Destinations, printer: Printer) -> Result<Self> {
        for folder in destinations.folders() {
            file::make_folder(folder)?;
        }
        for file in destinations.named() {
            claim(file, printer)?;
        }
        if let Some(file) = destinations.named().next() {
            tell_found(file, printer);
        }
        let (names, taken) = (FileNames::default(), BTreeSet::new());
        Ok(Self { destinations, printer, names, taken, first: None, elsewhere: None })
    }

    /// The places of one more container. The first takes `-o` and `--recording`.
    pub fn plan(&mut self, target: &Target) -> OutputPaths {
        let whose = if self.first.is_none() { Whose::First } else { Whose::Further };
        let plan = self.place(target, whose);
        self.first.get_or_insert_with(|| target.title().into_owned());
        plan
    }

    /// The places of something that nobody may have asked for: never those of `-o` and `--recording`.
    pub fn fallback_paths(&mut self, target: &Target) -> OutputPaths {
        self.place(target, Whose::Further)
    }

    fn place(&mut self, target: &Target, whose: Whose) -> OutputPaths {
        if whose == Whose::Further && self.elsewhere.is_none() && self.destinations.needs_elsewhere() {
            self.elsewhere = file::folder_elsewhere()
                .inspect_err(|error| {
                    self.printer.warn(format!("there is no room for files of our own: {error}"))
                })
                .ok();
        }
        let title = target.title();
        let title = title.trim_matches('/');
        let id = target.containers().first().map_or("", |container| container.id.as_str());
        let Self { destinations, names, taken, elsewhere, printer, .. } = self;
        let elsewhere = elsewhere.as_deref();
        let in_use: RefCell<Option<WriteError>> = RefCell::default();
        // A file beside -o is ours to make, and no user's to lose.
        let name = names.unique(title, id, |name| {
            let plan = destinations.places(name, whose, elsewhere);
            let is_free = !plan.files().any(|file| taken.contains(&real(file)))
                && !plan.elsewhere.iter().any(|(_, file)| file.exists());
            is_free
                && plan.files().all(|file| match claim(file, *printer) {
                    Err(error) if matches!(error.problem, WriteProblem::InUse { .. }) => {
                        in_use.replace(Some(error));
                        false
                    }
                    // Whatever else it is, it is told when the file is written.
                    _ => true,
                })
        });
        let mut plan = destinations.places(&name, whose, elsewhere);
        if let Some(error) = in_use.into_inner() {
            printer.warn(format!("{error}; {title} goes to {}", plan.places()));
        }
        taken.extend(plan.files().map(real));
        if !destinations.named().any(|named| plan.checkpoint_beside() == Some(named)) {
            plan.checkpoint_beside().into_iter().for_each(|file| tell_found(file, *printer));
        }
        plan.too_many = plan
            .elsewhere
            .iter()
            .map(|(option, file)| self.too_many(&target.title(), option, file))
            .collect();
        // At once: the tests may go on for an hour.
        plan.too_many.iter().for_each(|message| self.printer.warn(message));
        plan
    }

    fn too_many(&self, title: &str, option: &str, file: &Path) -> String {
        let (what, folder, place) = match option {
            "-o" => ("profile", "--output-dir", self.destinations.profile.as_ref().map(ToString::to_string)),
            _ => {
                let place = self.destinations.recording.as_ref().map(|path| path.display().to_string());
                ("recording", "--recording-dir", place)
            }
        };
        let first = self.first.as_ref().map_or_else(String::new, |first| {
            format!(", and has that of {first} ({})", place.unwrap_or_default())
        });
        format!(
            "{option} takes one container's {what}{first}; {title} is one more, and its {what} goes to {}: use {folder}",
            file.display()
        )
    }
}
