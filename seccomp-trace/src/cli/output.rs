//! Where results go, and what is said with a profile.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::better::Replacement;
use super::printer::Printer;
use crate::format::Format;
use crate::inspect::libseccomp::Libseccomp;
use crate::profile::{self, Options, Profile, Reason, Warning};
use crate::recording::Recording;
use crate::recording::file;
use crate::report::text::list;

/// Where a result goes: what `-o` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// `-`: stdout.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl From<OsString> for Output {
    fn from(path: OsString) -> Self {
        if path == "-" { Output::Stdout } else { Output::File(PathBuf::from(path)) }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Stdout => formatter.write_str("stdout"),
            Output::File(path) => path.display().fmt(formatter),
        }
    }
}

impl Output {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Output::Stdout => None,
            Output::File(path) => Some(path),
        }
    }

    /// Finds out whether it can be written, before anything is started for it.
    ///
    /// # Errors
    /// Where it can't.
    pub fn check(&self) -> Result<()> {
        match self {
            Output::Stdout => Ok(()),
            Output::File(path) => Ok(file::check_writable(path)?),
        }
    }

    /// Writes the result.
    ///
    /// # Errors
    /// Where it can't be written; an old file is then unchanged.
    pub fn write(&self, data: &[u8], printer: &Printer) -> Result<()> {
        match self {
            Output::Stdout => printer.data(data).context("can't write to stdout"),
            Output::File(path) => Ok(file::write(path, data)?),
        }
    }
}

/// The file of a recording, which is no result for stdout.
///
/// # Errors
/// Where `-` was given.
pub fn recording_file(path: PathBuf) -> Result<PathBuf, &'static str> {
    if path.as_os_str() == "-" {
        return Err(
            "a recording goes to a file, as checkpoints of it stand beside that; a file of this name is ./-",
        );
    }
    Ok(path)
}

/// Makes the profile of `recordings`, writes it, and says what its user must know. The warnings are
/// printed here, and given back for who wants to judge them.
///
/// # Errors
/// Where there is no profile to write, or it can't be written, or a better one is kept.
pub fn write_profile(
    recordings: &[Recording],
    options: &Options,
    format: Format,
    output: &Output,
    replacement: &Replacement<'_>,
    printer: &Printer,
) -> Result<Vec<Warning>> {
    let (profile, mut warnings) = profile::build(recordings, options)?;
    warnings.extend(unresolvable(&profile));
    warnings.iter().for_each(|warning| printer.tell(warning));
    if printer.is_verbose() {
        tell_reasons(&profile, printer);
    }
    if let Some(path) = output.file() {
        replacement.profile(path, &profile, format, printer)?;
    }
    output.write(format.write(&profile).as_bytes(), printer)?;
    let count = profile.allowed.len();
    let abis: Vec<_> = profile.architectures.iter().map(ToString::to_string).collect();
    let added = profile.allowed.values().filter(|reasons| !reasons.iter().any(Reason::is_seen)).count();
    printer.note(format!(
        "the profile allows {count} syscalls ({}): {} seen, {added} added; written to {output}",
        abis.join(", "),
        count - added,
    ));
    Ok(warnings)
}

/// The names that the runtimes of this host would drop without a word.
fn unresolvable(profile: &Profile) -> Option<Warning> {
    let library = Libseccomp::find()?;
    let names = profile.allowed.keys().chain(profile.errno.keys()).map(String::as_str);
    let unknown: Vec<_> = library.unknown(names).into_iter().map(str::to_owned).collect();
    if unknown.is_empty() {
        return None;
    }
    let version = library.version().map_or_else(String::new, |version| format!(" {version}"));
    Some(Warning {
        code: "unresolvable".to_owned(),
        message: format!(
            "this host's libseccomp{version} does not know {}: runtimes that use it leave such a name out \
             without a word, and the call is denied; update libseccomp where the profile is used",
            list(&unknown, 8)
        ),
    })
}

/// One line for each name, why it is in; and one for each ABI, what it does not need.
fn tell_reasons(profile: &Profile, printer: &Printer) {
    for (name, reasons) in &profile.allowed {
        let reasons: Vec<_> = reasons.iter().map(Reason::to_string).collect();
        printer.verbose(format!("allow {name}: {}", reasons.join("; ")));
    }
    for (name, (errno, reason)) in &profile.errno {
        printer.verbose(format!("errno {errno} for {name}: {reason}"));
    }
    for (abi, names) in &profile.over_allowed {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        printer.verbose(format!("over-allowed to {abi}: {}", names.join(", ")));
    }
}
