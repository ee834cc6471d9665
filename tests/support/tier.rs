//! How much is run: what a commit needs, or all.

/// The variable that says it: `full`, else the tests of a commit.
pub const TIER: &str = "SECCOMP_TRACE_TIER";

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// On each commit: every behaviour, a few turns of what depends on the moment.
    Commit,
    /// Before something is called done: as many turns as find what happens once in a thousand starts.
    Full,
}

impl Tier {
    /// The tier of this run.
    pub fn of_this_run() -> Self {
        if std::env::var_os(TIER).is_some_and(|tier| tier == "full") { Self::Full } else { Self::Commit }
    }

    /// As [`TIER`] has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Full => "full",
        }
    }

    /// How many of `all` turns this tier takes of what depends on the moment: a fifth of them on a commit, two at least.
    pub fn turns(self, all: usize) -> usize {
        match self {
            Self::Commit => (all / 5).max(2).min(all),
            Self::Full => all,
        }
    }
}

/// How often a test repeats what may differ from start to start, where the full tier repeats it `all` times.
pub fn turns(all: usize) -> usize {
    Tier::of_this_run().turns(all)
}
