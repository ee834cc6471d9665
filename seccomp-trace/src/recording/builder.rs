//! Making a recording out of what the kernel program tells: the news as it comes, the sets at the end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    Boundary, BoundaryMethod, Denials, Filter, Host, Kind, Lost, Origin, Recording, Syscall, Target, Tool,
    VERSION, Warning,
};
use crate::abi::Abi;

/// A recording that grows.
#[derive(Clone, Debug)]
pub struct Builder {
    target: Target,
    host: Host,
    start: Timestamp,
    seen: BTreeMap<(Abi, u32), Sighting>,
    denied: Option<Denials>,
    boundary: Option<Boundary>,
    filter: Option<Filter>,
    lost: Lost,
    warnings: Vec<Warning>,
    changed: bool,
}

#[derive(Clone, Debug, Default)]
struct Sighting {
    first: Option<(Timestamp, String)>,
    origins: BTreeSet<Origin>,
}

impl Builder {
    /// An empty one.
    #[must_use]
    pub fn new(target: Target, host: Host, start: Timestamp) -> Self {
        Self {
            target,
            host,
            start,
            seen: BTreeMap::new(),
            denied: None,
            boundary: None,
            filter: None,
            lost: Lost::default(),
            warnings: Vec::new(),
            changed: false,
        }
    }

    /// What is recorded; an engine may tell more of it later.
    pub fn target_mut(&mut self) -> &mut Target {
        self.changed = true;
        &mut self.target
    }

    /// What is recorded.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// A call was made. The earliest time that is told of it stays.
    pub fn saw(&mut self, abi: Abi, number: u32, origin: Origin, first: Option<(Timestamp, String)>) {
        let sighting = self.seen.entry((abi, number)).or_default();
        self.changed |= sighting.origins.insert(origin);
        if let Some(first) = first
            && sighting.first.as_ref().is_none_or(|(time, _)| first.0 < *time)
        {
            sighting.first = Some(first);
            self.changed = true;
        }
    }

    /// Each call with one of those who made it, and when first and by whom.
    pub fn seen(&self) -> impl Iterator<Item = ((Abi, u32), Origin, Option<(Timestamp, String)>)> {
        let all = self.seen.iter();
        all.flat_map(|(call, sighting)| {
            sighting.origins.iter().map(|origin| (*call, *origin, sighting.first.clone()))
        })
    }

    /// From where on calls count, in one more life (a restart), or in the same one, now known better.
    pub fn set_boundary(&mut self, boundary: Boundary) {
        let old = self.boundary.replace(self.boundary.map_or(boundary, |old| old.merge_restarts(boundary)));
        self.changed |= old != self.boundary;
    }

    /// All that was denied until now; empty where filters are looked at, and have denied nothing.
    pub fn set_denied(&mut self, denied: Denials) {
        let denied = Some(denied);
        self.changed |= denied != self.denied;
        self.denied = denied;
    }

    /// What was denied until now, as it was told last.
    #[must_use]
    pub fn denied(&self) -> Option<&Denials> {
        self.denied.as_ref()
    }

    /// The filter that its application came with, in its last life.
    pub fn set_filter(&mut self, filter: Filter) {
        let filter = Some(filter);
        self.changed |= filter != self.filter;
        self.filter = filter;
    }

    /// From where on calls count, where that is known by now.
    #[must_use]
    pub fn boundary(&self) -> Option<Boundary> {
        self.boundary
    }

    /// What was lost until now.
    #[must_use]
    pub fn lost(&self) -> Lost {
        self.lost
    }

    /// Is there a warning of this code?
    #[must_use]
    pub fn has_warning(&self, code: &str) -> bool {
        self.warnings.iter().any(|warning| warning.code == code)
    }

    /// Adds to what was lost.
    pub fn lose(&mut self, lost: Lost) {
        self.changed |= lost != Lost::default();
        self.lost.add(lost);
    }

    /// Adds a warning, once by its code.
    pub fn warn(&mut self, code: &str, message: impl Into<String>) {
        if !self.has_warning(code) {
            self.warnings.push(Warning { code: code.to_owned(), message: message.into() });
            self.changed = true;
        }
    }

    /// Adds a warning, in the place of one with its code.
    pub fn set_warning(&mut self, code: &str, message: String) {
        self.warnings.retain(|warning| warning.code != code);
        self.warn(code, message);
    }

    /// Has anything come since this was asked last?
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The recording as it stands.
    #[must_use]
    pub fn build(&self, finished: bool) -> Recording {
        let mut syscalls: BTreeMap<Abi, Vec<Syscall>> = BTreeMap::new();
        for ((abi, number), sighting) in &self.seen {
            let (first_seen, comm) = sighting.first.clone().unzip();
            syscalls.entry(*abi).or_default().push(Syscall {
                number: *number,
                name: abi.name(*number).map(str::to_owned),
                first_seen,
                comm,
                origins: sighting.origins.iter().copied().collect(),
                containers: None,
            });
        }
        Recording {
            kind: Kind::Recording,
            version: VERSION,
            tool: Tool {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            host: self.host.clone(),
            target: self.target.clone(),
            start: self.start,
            end: Timestamp::now(),
            finished,
            boundary: self
                .boundary
                .unwrap_or(Boundary { method: BoundaryMethod::Unknown, attached_late: false }),
            syscalls,
            denied: self.denied.clone(),
            filter: self.filter.clone(),
            lost: self.lost,
            warnings: self.warnings.clone(),
        }
    }
}
