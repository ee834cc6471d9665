//! Reading and writing a recording's JSON.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

use super::file::{self, WriteError};
use super::{Recording, VERSION};

/// The largest input in bytes. A recording of every number of every ABI has less than 1 MiB.
const LARGEST: u64 = 64 << 20;

/// What is read is no recording. Each message has the file, the position where there is one, and the
/// reason.
#[derive(Debug, thiserror::Error)]
#[error("can't read the recording {name}: {problem}", name = if path == Path::new("-") { "from stdin".into() } else { path.display().to_string() })]
pub struct ReadError {
    /// The path as the user gave it; `-` is stdin.
    pub path: PathBuf,
    /// Why.
    pub problem: ReadProblem,
}

/// Why a recording can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadProblem {
    /// The file can't be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is larger than any recording.
    #[error("it is larger than {} MiB, and no recording is; name a recording", LARGEST >> 20)]
    TooLarge,
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// The text is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is a profile.
    #[error(
        "it is a seccomp profile; a recording is what --recording writes (`seccomp-trace record --help`)"
    )]
    Profile,
    /// It is JSON of another kind.
    #[error("it is JSON, but not a recording: its \"kind\" is not \"recording\"")]
    NotARecording,
    /// A newer program wrote it.
    #[error("its version is {version}, and this program reads version {VERSION}; update seccomp-trace")]
    Newer {
        /// The recording's version.
        version: u64,
    },
    /// A program from before the first release wrote it.
    #[error("its version is {version}, which is from before the first release; record again")]
    Older {
        /// The recording's version.
        version: u64,
    },
    /// It has no version that ever was.
    #[error("its \"version\" is not a whole number from 1 on")]
    NoVersion,
    /// A field is missing or wrong.
    #[error("it is a recording with a mistake: {0}")]
    Shape(serde_json::Error),
}

/// Reads to the end, and no more than `largest` bytes.
fn bounded(input: impl io::Read, largest: u64) -> Result<Vec<u8>, ReadProblem> {
    let mut bytes = Vec::new();
    input.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest { Err(ReadProblem::TooLarge) } else { Ok(bytes) }
}

impl Recording {
    /// Reads a recording; `-` is stdin.
    ///
    /// # Errors
    /// Where the file can't be read or is no recording of version [`VERSION`].
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let bytes = if path == Path::new("-") {
            bounded(io::stdin().lock(), LARGEST)
        } else {
            File::open(path).map_err(ReadProblem::Io).and_then(|file| bounded(file, LARGEST))
        };
        bytes
            .and_then(|bytes| Self::parse(&bytes))
            .map_err(|problem| ReadError { path: path.to_owned(), problem })
    }

    /// Parses a recording.
    ///
    /// # Errors
    /// Where the text is no recording of version [`VERSION`].
    pub fn parse(json: &[u8]) -> Result<Self, ReadProblem> {
        if json.trim_ascii().is_empty() {
            return Err(ReadProblem::Empty);
        }
        let value: Value = serde_json::from_slice(json).map_err(ReadProblem::NotJson)?;
        if value.get("kind").and_then(Value::as_str) != Some("recording") {
            let is_profile = ["defaultAction", "syscalls"].iter().any(|key| value.get(key).is_some());
            return Err(if is_profile { ReadProblem::Profile } else { ReadProblem::NotARecording });
        }
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version > u64::from(VERSION) => return Err(ReadProblem::Newer { version }),
            Some(version @ 1..) if version < u64::from(VERSION) => {
                return Err(ReadProblem::Older { version });
            }
            Some(1..) => {}
            _ => return Err(ReadProblem::NoVersion),
        }
        // From the text again, since only that has positions.
        let mut text = serde_json::Deserializer::from_slice(json);
        Recording::deserialize(&mut text).map_err(ReadProblem::Shape)
    }

    /// The recording as JSON, with a newline at the end.
    pub fn to_json(&self) -> String {
        #[expect(clippy::expect_used, reason = "structs with string keys always serialise")]
        let mut json = serde_json::to_string_pretty(self).expect("a recording is JSON");
        json.push('\n');
        json
    }

    /// Writes the recording, as [`file::write`] does.
    ///
    /// # Errors
    /// As [`file::write`].
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        file::write(path, self.to_json().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_recording_says_what_it_is() {
        let messages: Vec<_> = [
            "",
            " \n",
            "{",
            "{\"kind\": \"recording\",\n \"version\": 2,,",
            "\u{0}\u{1}",
            "[]",
            "{}",
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[]}"#,
            r#"{"kind":"recording","version":3,"whatever":{}}"#,
            r#"{"kind":"recording","version":1,"whatever":{}}"#,
            r#"{"kind":"recording","version":0}"#,
            r#"{"kind":"recording","version":"1"}"#,
            r#"{"kind":"recording"}"#,
            r#"{"kind":"recording","version":2,"tool":{"name":7}}"#,
            r#"{"kind":"recording","version":2}"#,
        ]
        .into_iter()
        .map(|text| Recording::parse(text.as_bytes()).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn an_input_is_read_up_to_a_size_and_a_larger_one_is_refused() {
        assert_eq!(bounded(io::repeat(b' ').take(7), 7).unwrap().len(), 7);
        for endless in [io::repeat(b' ').take(8), io::repeat(b' ').take(u64::MAX)] {
            let error = bounded(endless, 7).unwrap_err().to_string();
            assert!(error.contains("larger than 64 MiB"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Recording::read(Path::new("/no/such.json")).unwrap_err().to_string();
        assert!(error.starts_with("can't read the recording /no/such.json: No such file"), "{error}");
    }
}
