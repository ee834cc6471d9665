//! Several containers recorded as one: replicas, the containers of a pod or a service, and those that had one name after
//! another. Pure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Boundary, Container, Lost, Recording, Syscall, Target, denial};
use crate::abi::Abi;

/// What the containers of one recording have in common.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// Their name: one container, and those made anew under its name
    #[default]
    Container,
    /// Their image, as their users named it
    Image,
    /// Their service, as Docker Compose, Podman Compose or Docker Swarm label it
    Service,
    /// Their pod
    Pod,
}

/// Labels that name a service, and those that name what it is part of.
const SERVICES: [(&str, Option<&str>); 3] = [
    ("com.docker.compose.service", Some("com.docker.compose.project")),
    ("io.podman.compose.service", Some("io.podman.compose.project")),
    ("com.docker.swarm.service.name", None),
];

/// Whose recording a container's calls go into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// What its containers have in common. One without a service, a pod or an image is recorded by its name.
    pub by: GroupBy,
    /// The engine, where only that engine knows what the name means.
    pub engine: Option<String>,
    /// The name of it.
    pub name: String,
}

impl GroupBy {
    /// The group of a container.
    #[must_use]
    pub fn group(self, container: &Container) -> Group {
        let name = match self {
            Self::Container => None,
            Self::Image => container.image.as_deref().map(|image| plain(image).to_owned()),
            Self::Service => SERVICES.iter().find_map(|(service, project)| {
                let service = container.labels.get(*service)?;
                let project = project.and_then(|project| container.labels.get(project));
                Some(project.map_or_else(|| service.clone(), |project| format!("{project}/{service}")))
            }),
            Self::Pod => container.pod.as_ref().map(ToString::to_string),
        };
        match name {
            Some(name) if self == Self::Image => Group { by: self, engine: None, name },
            Some(name) => Group { by: self, engine: Some(container.engine.clone()), name },
            None => Group {
                by: Self::Container,
                engine: Some(container.engine.clone()),
                name: container.title().into_owned(),
            },
        }
    }
}

/// An image as Docker calls it for short: other engines write out what is meant where nothing is said.
fn plain(image: &str) -> &str {
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    let image = image.strip_prefix("library/").unwrap_or(image);
    image.strip_suffix(":latest").unwrap_or(image)
}

impl Boundary {
    /// Of several lives under one name, one after another: one that was seen whole makes up for one that was not.
    #[must_use]
    pub fn merge_restarts(self, other: Self) -> Self {
        match (self.attached_late, other.attached_late) {
            (true, false) => other,
            (false, true) => self,
            _ => self.merge_replicas(other),
        }
    }

    /// Of several containers: the least certain one stands.
    #[must_use]
    pub fn merge_replicas(self, other: Self) -> Self {
        Self {
            method: self.method.max(other.method),
            attached_late: self.attached_late || other.attached_late,
        }
    }
}

impl Group {
    /// The recordings of its containers as one, with the number of containers that have made each call; none of none.
    /// One container that is recorded by its name stays as it is.
    #[must_use]
    pub fn merge(&self, mut recordings: Vec<Recording>) -> Option<Recording> {
        if self.by == GroupBy::Container && recordings.len() < 2 {
            return recordings.pop();
        }
        // All of one session have begun at one time.
        recordings.sort_by_key(|recording| (recording.start, first_seen(recording)));
        let first = recordings.first()?;
        let mut united = Recording {
            target: Target::Group { by: self.by, name: self.name.clone(), containers: Vec::new() },
            syscalls: BTreeMap::new(),
            denied: None,
            lost: Lost::default(),
            warnings: Vec::new(),
            ..first.clone()
        };
        let mut seen: BTreeMap<(Abi, u32), Syscall> = BTreeMap::new();
        let mut lives: BTreeMap<Option<String>, Boundary> = BTreeMap::new();
        for recording in recordings {
            united.end = united.end.max(recording.end);
            united.finished &= recording.finished;
            // One life makes up for another one of the same program alone.
            let life = match self.by {
                GroupBy::Container => {
                    recording.target.containers().last().and_then(|its| its.image_digest.clone())
                }
                _ => Some(lives.len().to_string()),
            };
            lives
                .entry(life)
                .and_modify(|boundary: &mut Boundary| *boundary = boundary.merge_restarts(recording.boundary))
                .or_insert(recording.boundary);
            united.lost.add(recording.lost);
            if let Some(denied) = recording.denied {
                let all = united.denied.get_or_insert_default();
                for (abi, denials) in denied {
                    denials.into_iter().for_each(|denial| denial::add(all, abi, denial));
                }
            }
            if united.filter != recording.filter {
                // Of several, none is the one.
                united.filter = None;
            }
            for warning in recording.warnings {
                united.warn(&warning.code, warning.message);
            }
            for (abi, syscalls) in recording.syscalls {
                for syscall in syscalls {
                    let count = syscall.containers.unwrap_or(1);
                    let number = syscall.number;
                    let known = seen
                        .entry((abi, number))
                        .or_insert_with(|| Syscall { containers: Some(0), ..syscall.clone() });
                    known.add(syscall, count);
                }
            }
            if let Target::Group { containers, .. } = &mut united.target {
                containers.extend(recording.target.into_containers());
            }
        }
        if let Some(boundary) = lives.into_values().reduce(Boundary::merge_replicas) {
            united.boundary = boundary;
        }
        for ((abi, _), syscall) in seen {
            united.syscalls.entry(abi).or_default().push(syscall);
        }
        Some(united)
    }
}

/// When the first call of a recording was seen.
fn first_seen(recording: &Recording) -> Option<jiff::Timestamp> {
    recording.syscalls.values().flatten().filter_map(|syscall| syscall.first_seen).min()
}

impl Syscall {
    /// Another container has made it, too.
    fn add(&mut self, other: Self, count: u32) {
        self.containers = Some(self.containers.unwrap_or(0) + count);
        self.origins.extend(other.origins);
        self.origins.sort_unstable();
        self.origins.dedup();
        let is_earlier = match (self.first_seen, other.first_seen) {
            (Some(own), Some(other)) => other < own,
            (own, _) => own.is_none(),
        };
        if is_earlier {
            (self.first_seen, self.comm) = (other.first_seen, other.comm);
        }
    }
}

#[cfg(test)]
mod tests;
