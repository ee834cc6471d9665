//! The cgroup of a systemd unit: systemd itself is asked, by `systemctl`.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use thiserror::Error;
use tokio::{process::Command, time::timeout};

/// systemd answers within milliseconds; one that is starting a hundred units, within seconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// There where systemd is PID 1 (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// Kinds of units that have processes (systemd.resource-control(5)).
const WITH_CGROUP: [&str; 6] = [".service", ".scope", ".slice", ".socket", ".mount", ".swap"];

/// A unit, as systemd knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its whole name: `web.service`, also where an alias was asked for.
    pub name: String,
    /// Its cgroup's path from the hierarchy's root; where it does not run, the one that it will have.
    pub cgroup: String,
    /// Has systemd a file for it? One that is made later (`systemd-run`) it does not know yet.
    pub is_known: bool,
}

/// Why a unit's cgroup is not known.
#[derive(Debug, Error)]
pub enum UnitError {
    /// There is no systemd to ask.
    #[error("systemd doesn't run here ({BOOTED} is missing); name the cgroup: --cgroup PATH")]
    NoSystemd,
    /// A glob, or no name at all.
    #[error("this is no unit's name; name one unit, such as web.service (`systemctl list-units` lists them)")]
    Name,
    /// A timer, a target.
    #[error("{0} has no processes of its own; name the service that it starts")]
    NoCgroup(String),
    /// systemd won't start it.
    #[error("systemd can't start it ({0}); `systemctl status` says why")]
    Unusable(String),
    /// `systemctl` failed.
    #[error("systemctl doesn't say where it is: {0}")]
    Asking(String),
}

/// Asks for one unit of the system's own systemd.
///
/// # Errors
/// Where there is no systemd, or no such thing as this unit's cgroup.
pub async fn find(name: &str) -> Result<Unit, UnitError> {
    if !Path::new(BOOTED).is_dir() {
        return Err(UnitError::NoSystemd);
    }
    if name.is_empty() || name.contains(['*', '?', '[', '/']) {
        return Err(UnitError::Name);
    }
    let property = "--property=LoadState,ControlGroup,Slice,Id";
    // The root slice is where all others are: not at / in a container.
    let said = systemctl(&["show", property, "--", name, "-.slice"]).await?;
    unit(&said)
}

/// The names of all units, for whoever typed one that is not there.
pub async fn names() -> Vec<String> {
    let plain = ["--plain", "--no-legend", "--full"];
    let mut names = Vec::new();
    for list in [&["list-units", "--all"][..], &["list-unit-files"]] {
        let said = systemctl(&[list, &plain].concat()).await.unwrap_or_default();
        let known = said.lines().filter(|line| !line.contains(" not-found "));
        names.extend(known.filter_map(|line| line.split_whitespace().next()).map(str::to_owned));
    }
    names
}

async fn systemctl(arguments: &[&str]) -> Result<String, UnitError> {
    let asking = |reason: String| UnitError::Asking(reason);
    let mut command = Command::new("systemctl");
    command.arg("--no-pager").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(TIMEOUT, command.output())
        .await
        .map_err(|_| asking(format!("no answer in {} s", TIMEOUT.as_secs())))?
        .map_err(|error| asking(error.to_string()))?;
    if !output.status.success() {
        return Err(asking(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The unit of an answer: the properties of the unit, then those of the root slice.
fn unit(said: &str) -> Result<Unit, UnitError> {
    let mut blocks = said
        .trim()
        .split("\n\n")
        .map(|block| block.lines().filter_map(|line| line.split_once('=')).collect::<BTreeMap<_, _>>());
    let (Some(unit), Some(root)) = (blocks.next(), blocks.next()) else {
        return Err(UnitError::Asking(format!("it said {said:?}")));
    };
    let of = |property| unit.get(property).copied().unwrap_or_default();
    let (name, state) = (of("Id"), of("LoadState"));
    if !WITH_CGROUP.iter().any(|kind| name.ends_with(kind)) {
        return Err(UnitError::NoCgroup(name.to_owned()));
    }
    if of("ControlGroup").is_empty() && !matches!(state, "loaded" | "not-found") {
        return Err(UnitError::Unusable(state.to_owned()));
    }
    let root = root.get("ControlGroup").copied().unwrap_or_default().trim_end_matches('/');
    let cgroup = match (of("ControlGroup"), of("Slice")) {
        ("", "") => format!("{root}{}", path_of(name, &default_slice(name))),
        ("", slice) => format!("{root}{}", path_of(name, slice)),
        (path, _) => path.to_owned(),
    };
    Ok(Unit { name: name.to_owned(), cgroup, is_known: state != "not-found" })
}

/// Where systemd puts what says nothing else: an instance `a@b.service` in a slice of its template's
/// (systemd.resource-control(5), `Slice=`).
fn default_slice(name: &str) -> String {
    match name.split_once('@') {
        Some((template, _)) => format!("system-{}.slice", template.replace('-', "\\x2d")),
        None => "system.slice".to_owned(),
    }
}

/// A unit's cgroup from the root slice's: `a-b.slice` lies in `a.slice` (systemd.slice(5)).
fn path_of(name: &str, slice: &str) -> String {
    let slice = if name.ends_with(".slice") { name } else { slice };
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    let ends = stem.match_indices('-').map(|(end, _)| end).chain([stem.len()]);
    let mut path = String::new();
    // The root slice, `-.slice`, is where the path begins.
    for parent in ends.filter_map(|end| stem.get(..end)).filter(|parent| !matches!(*parent, "" | "-")) {
        path += &format!("/{}", escaped(&format!("{parent}.slice")));
    }
    if slice == name { path } else { format!("{path}/{}", escaped(name)) }
}

/// A name that the kernel might take for a file of its own gets a `_` (systemd's `cg_escape`).
fn escaped(name: &str) -> String {
    const CONTROLLERS: [&str; 9] =
        ["cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids"];
    let first = name.split('.').next().unwrap_or_default();
    let is_taken = name.starts_with(['_', '.']) || CONTROLLERS.contains(&first);
    if is_taken { format!("_{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests;
