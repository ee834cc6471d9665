//! Which rows the tables have, and in which order.

use std::cmp::Reverse;

use super::View;
use crate::live::model::{Call, Container, ContainerId, Model, Syscall};

/// In which order the containers stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainerSort {
    /// As they came.
    #[default]
    Came,
    /// By name.
    Name,
    /// The busiest first.
    Rate,
    /// The one with most syscalls first.
    Distinct,
    /// The one with most denials first.
    Denied,
    /// The one where something was new last first.
    Newest,
}

/// In which order the calls stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallSort {
    /// The newest first.
    #[default]
    Newest,
    /// By name.
    Name,
    /// The most frequent now first.
    Rate,
    /// The most frequent first.
    Count,
    /// By ABI and number.
    Number,
}

impl ContainerSort {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Came => Self::Name,
            Self::Name => Self::Rate,
            Self::Rate => Self::Distinct,
            Self::Distinct => Self::Denied,
            Self::Denied => Self::Newest,
            Self::Newest => Self::Came,
        }
    }

    /// As the table's title has it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Came => "in their order",
            Self::Name => "by name",
            Self::Rate => "by calls a second",
            Self::Distinct => "by distinct calls",
            Self::Denied => "by denials",
            Self::Newest => "by what is new",
        }
    }
}

impl CallSort {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Newest => Self::Name,
            Self::Name => Self::Rate,
            Self::Rate => Self::Count,
            Self::Count => Self::Number,
            Self::Number => Self::Newest,
        }
    }

    /// As the table's title has it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Newest => "newest first",
            Self::Name => "by name",
            Self::Rate => "by calls a second",
            Self::Count => "by calls",
            Self::Number => "by number",
        }
    }
}

/// A syscall's name, or its number where it has none.
#[must_use]
pub fn name((abi, number): Syscall) -> String {
    abi.name(number).map_or_else(|| number.to_string(), str::to_owned)
}

impl View {
    /// What is shown: what the picture was when it was paused, else what is.
    #[must_use]
    pub fn shown<'a>(&'a self, model: &'a Model) -> &'a Model {
        self.frozen.as_ref().unwrap_or(model)
    }

    /// The containers' rows, in their order.
    #[must_use]
    pub fn container_rows<'a>(&self, model: &'a Model) -> Vec<(ContainerId, &'a Container)> {
        let filter = self.containers.filter.to_lowercase();
        let matches = |container: &Container| {
            let facts = &container.facts;
            let is_named = [&facts.name, &facts.image, &facts.engine, &facts.id]
                .iter()
                .any(|text| text.to_lowercase().contains(&filter));
            is_named && (!self.denied_only || container.denied() > 0)
        };
        let all = model.containers.iter().map(|(id, container)| (*id, container));
        let mut rows: Vec<_> = all.filter(|(_, container)| matches(container)).collect();
        match self.container_sort {
            ContainerSort::Came => {}
            ContainerSort::Name => rows.sort_by(|(_, a), (_, b)| a.facts.name.cmp(&b.facts.name)),
            ContainerSort::Rate => rows.sort_by_key(|(_, container)| Reverse(container.rate)),
            ContainerSort::Distinct => {
                rows.sort_by_cached_key(|(_, container)| Reverse(container.distinct()))
            }
            ContainerSort::Denied => rows.sort_by_cached_key(|(_, container)| Reverse(container.denied())),
            ContainerSort::Newest => rows.sort_by_key(|(_, container)| Reverse(container.newest)),
        }
        rows
    }

    /// The chosen container; the first one where none is, or where that is not shown.
    #[must_use]
    pub fn container<'a>(&self, model: &'a Model) -> Option<(ContainerId, &'a Container)> {
        let rows = self.container_rows(model);
        let chosen = self.containers.chosen.and_then(|id| rows.iter().find(|(row, _)| *row == id).copied());
        chosen.or_else(|| rows.first().copied())
    }

    /// The rows of a container's calls, in their order.
    #[must_use]
    pub fn call_rows<'a>(&self, container: &'a Container) -> Vec<(Syscall, &'a Call)> {
        let filter = self.calls.filter.to_lowercase();
        let all = container.calls.iter().map(|(syscall, call)| (*syscall, call));
        let mut rows: Vec<_> = all
            .filter(|(syscall, call)| {
                (filter.is_empty() || name(*syscall).contains(&filter))
                    && (!self.denied_only || call.is_denied())
            })
            .collect();
        match self.call_sort {
            CallSort::Newest => rows.sort_by_key(|(_, call)| Reverse(call.found)),
            CallSort::Name => rows.sort_by_cached_key(|(syscall, _)| name(*syscall)),
            CallSort::Rate => rows.sort_by_key(|(_, call)| Reverse((call.rate, call.count))),
            CallSort::Count => rows.sort_by_key(|(_, call)| Reverse(call.count)),
            CallSort::Number => {}
        }
        rows
    }

    /// The chosen call of a container; the first one where none is, or where that is not shown.
    #[must_use]
    pub fn call<'a>(&self, container: &'a Container) -> Option<(Syscall, &'a Call)> {
        let rows = self.call_rows(container);
        let chosen = self.calls.chosen.and_then(|key| rows.iter().find(|(row, _)| *row == key).copied());
        chosen.or_else(|| rows.first().copied())
    }
}
