//! What makes a recording less than exact.

use schemars::JsonSchema;
use serde::Serialize;

/// A kind of it. The order is that in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flaw {
    /// Calls were lost.
    Incomplete,
    /// It ran before it was traced.
    Late,
    /// Nothing marks where the application's own calls begin.
    Estimated,
    /// Something beside the calls was lost: who made them, or what was denied.
    Lost,
}

impl Flaw {
    /// In its container's row.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Late => "late",
            Self::Estimated => "estimated",
            Self::Lost => "lost",
        }
    }

    /// In the messages, after the container's name.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Incomplete => "calls were lost: its recording is incomplete",
            Self::Late => "attached late: what it called before is not in its recording",
            Self::Estimated => "it has no seccomp filter: where its own calls begin is an estimate",
            Self::Lost => "who made some calls, or some denials, could not be kept; no call is lost",
        }
    }
}
