//! Calls that a filter answered in the kernel's place, so that they were never made.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Recording;
use crate::abi::Abi;
use crate::report::text::list;

/// The names in one warning, at most; the recording has them all.
const LISTED: usize = 12;

/// One kind of denial: a syscall, what a filter answered, and whose filter that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denial {
    /// The number in its ABI (an x32 number without its bit 30).
    pub number: u32,
    /// The name; null for a number without one.
    pub name: Option<String>,
    /// What the filter answered.
    pub action: FilterAction,
    /// True where the container's filter lets the call in, and one answered that the program had loaded itself. Where the filters
    /// could not be read: where it had loaded any.
    pub own_filter: bool,
    /// True where that filter does not deny the call, but hands it to a supervisor or a tracer (`SECCOMP_RET_USER_NOTIF`,
    /// `SECCOMP_RET_TRACE`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub supervised: bool,
    /// How often.
    pub count: u64,
    /// When it was denied first.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub first_seen: Timestamp,
    /// The name of the thread that was denied it first (`comm`).
    pub comm: String,
}

/// What a filter answers (seccomp(2), "Filter return values").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilterAction {
    /// This errno.
    Errno(u16),
    /// SIGSYS, which the program may handle.
    Trap,
    /// The end of the thread or the process.
    Kill,
    /// A value that is no error: a supervisor's (`SCMP_ACT_NOTIFY`), or an errno of 0.
    ReturnValue,
}

impl fmt::Display for FilterAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(errno) => match syscalls::Errno::new(i32::from(*errno)).name() {
                Some(name) => formatter.write_str(name),
                None => write!(formatter, "errno {errno}"),
            },
            Self::Trap => formatter.write_str("SIGSYS"),
            Self::Kill => formatter.write_str("killed"),
            Self::ReturnValue => formatter.write_str("answered with a value"),
        }
    }
}

/// Who has answered in the kernel's place. Whom a profile made of the recording matters most to comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeniedBy {
    /// The container's filter.
    Container,
    /// A supervisor of the engine's, by the container's filter.
    Engine,
    /// A filter that the program has loaded itself.
    Program,
    /// A supervisor or a tracer, by such a filter: what is answered so must be allowed.
    Supervisor,
}

/// Denials by ABI, in the order of their numbers.
pub type Denials = BTreeMap<Abi, Vec<Denial>>;

/// Adds denials of the same container, or of another one.
pub fn add(denials: &mut Denials, abi: Abi, more: Denial) {
    let all = denials.entry(abi).or_default();
    let key = |denial: &Denial| (denial.number, denial.own_filter, denial.supervised, denial.action);
    match all.binary_search_by_key(&key(&more), key) {
        Ok(at) => {
            if let Some(old) = all.get_mut(at) {
                old.count = old.count.saturating_add(more.count);
                if more.first_seen < old.first_seen {
                    (old.first_seen, old.comm) = (more.first_seen, more.comm);
                }
            }
        }
        Err(at) => all.insert(at, more),
    }
}

impl DeniedBy {
    /// By what a [`Denial`] says.
    #[must_use]
    pub fn of(own_filter: bool, supervised: bool) -> Self {
        match (own_filter, supervised) {
            (false, false) => Self::Container,
            (false, true) => Self::Engine,
            (true, false) => Self::Program,
            (true, true) => Self::Supervisor,
        }
    }

    /// In words, but for the container's filter, which is the usual one.
    #[must_use]
    pub fn words(self) -> Option<&'static str> {
        match self {
            Self::Container => None,
            Self::Engine => Some("by a supervisor of its engine"),
            Self::Program => Some("by its own filter"),
            Self::Supervisor => Some("by its own supervisor or tracer"),
        }
    }
}

impl Denial {
    /// Who has answered.
    #[must_use]
    pub fn by(&self) -> DeniedBy {
        DeniedBy::of(self.own_filter, self.supervised)
    }

    /// As [`super::Syscall::name_in`].
    pub fn name_in(&self, abi: Abi) -> Option<&str> {
        super::name_in(abi, self.number, self.name.as_deref())
    }

    /// `mkdir`, `i386 mkdir`, `x86_64 700`.
    #[must_use]
    pub fn title(&self, abi: Abi, native: Option<Abi>) -> String {
        match &self.name {
            Some(name) if native == Some(abi) => name.clone(),
            Some(name) => format!("{abi} {name}"),
            None => format!("{abi} {}", self.number),
        }
    }
}

impl Recording {
    /// All denials, those of the filter that the container came with first.
    pub fn denials(&self) -> impl Iterator<Item = (Abi, &Denial)> {
        let all = self.denied.iter().flatten();
        all.flat_map(|(abi, denials)| denials.iter().map(|denial| (*abi, denial)))
    }

    /// `mkdir (EPERM, 2 times), …`: what was answered by one of these; none where nothing was.
    pub(super) fn denied_names(&self, by: DeniedBy) -> Option<String> {
        let native = Abi::of_machine(&self.host.architecture).and_then(|abis| abis.first().copied());
        let denials = self.denials().filter(|(_, denial)| denial.by() == by);
        let named = denials.map(|(abi, denial)| {
            let times = if denial.count == 1 { "once".into() } else { format!("{} times", denial.count) };
            format!("{} ({}, {times})", denial.title(abi, native), denial.action)
        });
        let names: Vec<_> = named.collect();
        (!names.is_empty()).then(|| list(&names, LISTED))
    }
}
