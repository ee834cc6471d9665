//! What the view is told of a container.

use std::collections::BTreeSet;

use crate::{
    live::model::{Facts, Flaw},
    recording::Target,
};

/// As it is known now, with the files that are written of it.
pub fn facts(target: &Target, is_running: bool, files: String, flaws: BTreeSet<Flaw>) -> Facts {
    let container = target.containers().first();
    let kind = match target {
        Target::Command { .. } => "command",
        Target::Cgroup { unit: Some(_), .. } => "unit",
        Target::Cgroup { unit: None, .. } => "cgroup",
        Target::Container(_) | Target::Group { .. } => "",
    };
    let engine = container.map_or("", |container| container.engine.as_str());
    Facts {
        name: target.title().into_owned(),
        id: container.map_or_else(String::new, |container| container.id.clone()),
        image: container.and_then(|container| container.image.clone()).unwrap_or_default(),
        engine: if engine.is_empty() { kind } else { engine }.to_owned(),
        is_running,
        files,
        flaws,
    }
}
