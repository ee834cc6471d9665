//! A file that is there may be better than the new one: a worse recording never replaces it in silence.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Result, bail};

use super::printer::Printer;
use crate::{
    format::Format,
    profile::Profile,
    recording::{
        BoundaryMethod, Recording,
        file::{self, Old},
    },
    report::text::list,
};

/// The calls named in one message, at most.
const LISTED: usize = 8;

/// What is about to replace files.
#[derive(Debug)]
pub struct Replacement<'r> {
    recordings: &'r [Recording],
    better: Better,
}

/// What becomes of a better file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// It is replaced, and that is said.
    Replaced,
    /// It stays, and that is an error: `--strict`.
    Kept,
}

impl<'r> Replacement<'r> {
    /// What is made of these recordings.
    pub fn new(recordings: &'r [Recording], better: Better) -> Self {
        Self { recordings, better }
    }

    /// Looks at the recording that a new one would replace.
    ///
    /// # Errors
    /// Where it is better, and is kept.
    pub fn recording(&self, path: &Path, printer: &Printer) -> Result<()> {
        self.judge(path, printer, |faults, old| {
            let old = Recording::parse(old).ok()?;
            let before = self::faults(&old);
            let (had, has) = (calls(&old), self.recordings.iter().flat_map(calls).collect());
            let is_worse = !faults.is_subset(&before) || !had.is_subset(&has);
            is_worse.then(|| lacks(&had, &has))
        })
    }

    /// Looks at the profile that a new one would replace.
    ///
    /// # Errors
    /// Where it is better, and is kept.
    pub fn profile(&self, path: &Path, new: &Profile, format: Format, printer: &Printer) -> Result<()> {
        self.judge(path, printer, |_, old| {
            let had = format.allowed(old)?;
            let has = new.allowed.keys().cloned().collect();
            (!had.is_subset(&has)).then(|| lacks(&had, &has))
        })
    }

    fn judge(
        &self,
        path: &Path,
        printer: &Printer,
        lacking: impl FnOnce(&BTreeSet<&'static str>, &[u8]) -> Option<String>,
    ) -> Result<()> {
        let faults: BTreeSet<_> = self.recordings.iter().flat_map(faults).collect();
        if faults.is_empty() {
            return Ok(());
        }
        let lacking = match file::old(path) {
            Old::None => None,
            Old::Foreign => Some("and what is there is another user's, and was not read".to_owned()),
            Old::Content(old) => lacking(&faults, &old),
        };
        let Some(lacking) = lacking else { return Ok(()) };
        let faults: Vec<_> = faults.into_iter().collect();
        let message = format!("{}: the new one {}, {lacking}", path.display(), faults.join(", "));
        match self.better {
            Better::Replaced => printer.warn(format!("{message}; the better one is replaced")),
            Better::Kept => bail!("{message}; the better one is kept, as --strict says"),
        }
        Ok(())
    }
}

/// What makes a recording worse than one that has everything from the first call to the end.
fn faults(recording: &Recording) -> BTreeSet<&'static str> {
    let boundary = recording.boundary;
    let all = [
        (!recording.finished, "is a checkpoint"),
        (recording.is_incomplete(), "is incomplete"),
        (boundary.attached_late, "was attached late"),
        (boundary.method == BoundaryMethod::Estimated, "has an estimated boundary"),
    ];
    all.into_iter().filter(|(is_so, _)| *is_so).map(|(_, fault)| fault).collect()
}

fn calls(recording: &Recording) -> BTreeSet<String> {
    let all = recording.syscalls.iter().flat_map(|(abi, calls)| calls.iter().map(move |call| (abi, call)));
    all.map(|(abi, call)| match call.name_in(*abi) {
        Some(name) => format!("{name} ({abi})"),
        None => format!("{} ({abi})", call.number),
    })
    .collect()
}

fn lacks(had: &BTreeSet<String>, has: &BTreeSet<String>) -> String {
    let missing: Vec<_> = had.difference(has).cloned().collect();
    match missing.as_slice() {
        [] => format!("and has all {} calls of the one that is there", had.len()),
        all => format!(
            "and lacks {} of the {} calls of the one that is there: {}",
            all.len(),
            had.len(),
            list(all, LISTED)
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::ColorChoice;

    use super::{Better, Printer, Replacement};
    use crate::{format::Format, profile, recording::Recording};

    const WHOLE: &str = include_str!("../../../tests/cli/fixtures/recording-v2.json");

    fn recording(changes: &[(&str, &str)]) -> Recording {
        let text = changes.iter().fold(WHOLE.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        Recording::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_worse_recording_replaces_a_better_file_only_where_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (path, profile_path) = (folder.path().join("r.json"), folder.path().join("p.json"));
        let printer = Printer::new(true, false, ColorChoice::Never);
        let fewer = |mut recording: Recording| {
            recording.syscalls.values_mut().for_each(|calls| drop(calls.pop()));
            recording
        };
        let whole = recording(&[]);
        let late = recording(&[("\"attached_late\": false", "\"attached_late\": true")]);
        let killed = recording(&[("\"finished\": true", "\"finished\": false")]);
        let incomplete = recording(&[("\"syscalls\": 0", "\"syscalls\": 1")]);
        let judge = |old: &Recording, new: &Recording| {
            fs::write(&path, old.to_json()).unwrap();
            let new = std::slice::from_ref(new);
            Replacement::new(new, Better::Replaced).recording(&path, &printer).unwrap();
            let kept = Replacement::new(new, Better::Kept).recording(&path, &printer);
            kept.err().map(|error| error.to_string())
        };
        for (new, fault) in [(&late, "attached late"), (&killed, "checkpoint"), (&incomplete, "incomplete")] {
            let said = judge(&whole, new).unwrap();
            assert!(said.contains(fault) && said.contains("has all "), "{said}");
            // A better one, and one that is no worse.
            assert_eq!((judge(new, &whole), judge(new, new)), (None, None));
            let said = judge(new, &fewer(new.clone())).unwrap();
            let count = whole.syscalls.len();
            assert!(said.contains(&format!("lacks {count} of the ")), "{said}");
        }
        assert_eq!(judge(&whole, &fewer(whole.clone())), None);
        // No file, and none that is a recording.
        let replacement = Replacement::new(std::slice::from_ref(&late), Better::Kept);
        assert!(replacement.recording(&folder.path().join("new"), &printer).is_ok());
        fs::write(&path, "{}").unwrap();
        assert!(replacement.recording(&path, &printer).is_ok());

        let options = profile::Options { runtimes: profile::Runtimes::Exact, ..Default::default() };
        let build =
            |recording: &Recording| profile::build(std::slice::from_ref(recording), &options).unwrap().0;
        fs::write(&profile_path, Format::Oci.write(&build(&whole))).unwrap();
        let new = fewer(late.clone());
        let judge = |recording: &Recording| {
            let replacement = Replacement::new(std::slice::from_ref(recording), Better::Kept);
            replacement.profile(&profile_path, &build(recording), Format::Oci, &printer)
        };
        let said = judge(&new).unwrap_err().to_string();
        assert!(said.contains("attached late, and lacks "), "{said}");
        assert!(judge(&late).is_ok() && judge(&fewer(whole.clone())).is_ok());
    }
}
