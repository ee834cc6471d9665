//! One name, id, or glob as the user typed it. Pure.

use globset::{GlobBuilder, GlobMatcher};

use crate::engine::cgroup_path::ID_LENGTH;

/// The shortest beginning of an id that is taken for one.
pub const SHORTEST_ID: usize = 4;

/// A name or a glob as the user typed it.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    glob: Option<GlobMatcher>,
}

/// A pattern that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Nothing was given.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// It is no name, and may be meant for a label.
    #[error(
        "--exclude {0:?}: no container's name has = or :; a label is excluded with --exclude label:KEY or label:KEY=VALUE"
    )]
    NoName(String),
    /// There is nothing to exclude from.
    #[error(
        "--exclude takes away what --container, --pod, --image, --label and --all select; give one of them"
    )]
    NothingToExclude,
    /// Nothing is left.
    #[error("{excludes} takes away all that {asked} selects")]
    ExcludesAll {
        /// The excludes as they were typed.
        excludes: String,
        /// What was asked for.
        asked: String,
    },
    /// The glob can't be parsed.
    #[error("{option} {text:?} is not a glob: {source}")]
    Glob {
        /// The option it was given to.
        option: &'static str,
        /// The glob.
        text: String,
        /// What is wrong with it.
        source: globset::Error,
    },
}

impl Pattern {
    /// Reads what was given to `option` (`--container`), which names it in an error.
    pub fn parse(option: &'static str, text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty(option));
        }
        // No name, id or image reference has these; all that a glob can do begins with one of them.
        let glob = if text.contains(['*', '?', '[', '{']) {
            let glob = GlobBuilder::new(text).literal_separator(false).build();
            let fault = |source| PatternError::Glob { option, text: text.to_owned(), source };
            Some(glob.map_err(fault)?.compile_matcher())
        } else {
            None
        };
        Ok(Self { text: text.to_owned(), glob })
    }

    /// As it was typed (for images: in its short form).
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True where it can match more than one name: later containers too.
    pub fn is_glob(&self) -> bool {
        self.glob.is_some()
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        match &self.glob {
            Some(glob) => glob.is_match(text),
            None => self.text == text,
        }
    }

    /// True where it is this id, or the beginning of it.
    pub(super) fn is_id_of(&self, id: &str) -> bool {
        let text = &self.text;
        // Of containerd's own namespaces: NAMESPACE/ID.
        if text == id {
            return true;
        }
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (SHORTEST_ID..=ID_LENGTH).contains(&text.len()) && is_hex && id.starts_with(text.as_str())
    }
}
