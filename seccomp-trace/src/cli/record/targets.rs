//! What was asked for beside containers: cgroups and processes, resolved before anything is traced.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use seccomp_trace_common::PATH_LEN;

use super::Targets;
use crate::{
    engine::{cgroup_path, select::suggest},
    inspect::{
        cgroup::{self, Hierarchy},
        unit,
    },
};

/// Cgroups to trace, from the hierarchy's root, and containers by their ids.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Paths of cgroups that are no container of an engine.
    pub cgroups: Vec<String>,
    /// The systemd units among them, by their paths.
    pub units: BTreeMap<String, String>,
    /// Ids of containers, found by the cgroup of a process, with that cgroup.
    pub containers: BTreeMap<String, String>,
}

/// Finds the cgroups of the targets.
///
/// # Errors
/// Where one is not there and is not waited for, or is nobody's own.
pub async fn resolve(targets: &Targets, hierarchy: &Hierarchy, waits: bool) -> Result<Resolved> {
    let mut resolved = Resolved::default();
    for given in &targets.cgroup {
        let path = hierarchy.path_of(given);
        if path.split('/').any(|part| part == "." || part == "..") {
            bail!("--cgroup {given}: name it from the hierarchy's root, without . and ..");
        }
        if path == "/" {
            bail!("--cgroup {given}: this is the root, with every process of the host; name one below it");
        }
        let is_missing = hierarchy.id(&path).is_err();
        if !waits && is_missing {
            bail!("--cgroup {given}: no such cgroup{}; --wait waits for it", near(hierarchy, &path));
        }
        // The kernel program knows it by its path.
        if is_missing && path.len() >= PATH_LEN {
            bail!(
                "--cgroup {given}: one that is not there yet can't be waited for with a path of more than {} bytes; \
                 make it first",
                PATH_LEN - 1
            );
        }
        resolved.cgroups.push(path);
    }
    for given in &targets.unit {
        let unit = unit::find(given).await.with_context(|| format!("--unit {given}"))?;
        if !waits && hierarchy.id(&unit.cgroup).is_err() {
            if !unit.is_known {
                let names = unit::names().await;
                let near = did_you_mean(&suggest(&unit.name, names.iter().map(String::as_str)));
                bail!("--unit {given}: systemd knows no such unit{near}; --wait waits for it");
            }
            bail!("--unit {given}: {} does not run; start it, or wait for it with --wait", unit.name);
        }
        resolved.units.insert(unit.cgroup.clone(), unit.name);
        resolved.cgroups.push(unit.cgroup);
    }
    for pid in &targets.pid {
        let path = cgroup::of_process(*pid)
            .with_context(|| format!("--pid {pid}: no such process (`ps -e` lists them)"))?;
        match cgroup_path::container(&path) {
            Some(container) => {
                resolved.containers.insert(container.id.to_owned(), container.path.to_owned());
            }
            None if path == "/" => bail!(
                "--pid {pid}: this process has no cgroup v2 of its own, it shares the root with the host; \
                 start it with: seccomp-trace run -o FILE -- COMMAND"
            ),
            None => resolved.cgroups.push(path),
        }
    }
    // What lies below another target is part of it.
    let all: BTreeSet<String> = resolved.cgroups.drain(..).collect();
    let is_part = |path: &str| ancestors(path).skip(1).any(|above| all.contains(above));
    resolved.cgroups = all.iter().filter(|path| !is_part(path)).cloned().collect();
    Ok(resolved)
}

/// A cgroup and all above it, without the root.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/')
        .map(|(end, _)| end)
        .chain([path.len()])
        .filter_map(|end| path.get(..end))
        .filter(|above| !above.is_empty())
        .rev()
}

fn near(hierarchy: &Hierarchy, path: &str) -> String {
    let all = hierarchy.tree("/");
    did_you_mean(&suggest(
        path,
        all.iter().map(|path| path.strip_prefix('/').map_or(path.as_str(), |_| path)),
    ))
}

/// `; did you mean …?`, or nothing.
pub fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(", ")) }
}
