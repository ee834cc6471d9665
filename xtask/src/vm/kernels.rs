//! The kernels that are known, each pinned to a version of Debian's package: `kernels.json`.

use crate::architecture::Architecture;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// One of them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// `ARCHITECTURE-VERSION`, with `+` what is special about it.
    pub name: String,
    /// Debian's package that has the image.
    pub package: String,
    /// The package's version.
    pub version: String,
    /// Where Debian has it.
    pub suite: String,
    /// Further arguments of the kernel.
    #[serde(default)]
    pub arguments: String,
    /// Is time what instructions make it, a nanosecond each? For kernels that preempt BPF programs (7.2): a load of the host, and the
    /// other processor's turn, are then no jump of time, for which they preempt what else they would not. 6.1 does not boot so.
    #[serde(default)]
    pub counts_instructions: bool,
    /// What it lacks, where it can't trace: then its refusal is the only test.
    pub lacks: Option<String>,
}

impl Pin {
    /// Its architecture.
    pub fn architecture(&self) -> Result<Architecture> {
        let name = self.name.rsplit_once('-').map(|(name, _)| name).unwrap_or_default();
        serde_json::from_value(name.into())
            .with_context(|| format!("{} is of no known architecture", self.name))
    }
}

/// All of them, in the order of the file.
pub fn all() -> Result<Vec<Pin>> {
    serde_json::from_str(include_str!("kernels.json")).context("kernels.json")
}

/// Those that are meant by `wanted`: by the whole name, by an architecture or by a version alone. None wanted are all.
pub fn select(wanted: &[String]) -> Result<Vec<Pin>> {
    let all = all()?;
    if wanted.is_empty() {
        return Ok(all);
    }
    let is_meant = |pin: &Pin, word: &str| {
        pin.name == word || pin.name.rsplit_once('-').is_some_and(|(one, other)| one == word || other == word)
    };
    for word in wanted {
        if !all.iter().any(|pin| is_meant(pin, word)) {
            let known: Vec<_> = all.iter().map(|pin| pin.name.as_str()).collect();
            bail!("there is no kernel {word}; known are {}", known.join(", "));
        }
    }
    Ok(all.into_iter().filter(|pin| wanted.iter().any(|word| is_meant(pin, word))).collect())
}

#[cfg(test)]
mod tests {
    use super::{all, select};

    fn names(wanted: &[&str]) -> Vec<String> {
        let wanted: Vec<_> = wanted.iter().map(|word| (*word).to_owned()).collect();
        select(&wanted).unwrap().into_iter().map(|pin| pin.name).collect()
    }

    #[test]
    fn every_pin_is_complete_and_its_own() {
        let pins = all().unwrap();
        for pin in &pins {
            let version = pin.name.rsplit_once('-').unwrap().1.split('+').next().unwrap();
            assert!(pin.version.starts_with(&format!("{version}.")), "{}", pin.name);
            assert!(pin.package.ends_with(pin.architecture().unwrap().debian()), "{}", pin.name);
            assert_eq!(pins.iter().filter(|other| other.name == pin.name).count(), 1, "{}", pin.name);
        }
    }

    #[test]
    fn kernels_are_selected_by_name_version_and_architecture() {
        assert_eq!(names(&["x86_64-6.1"]), ["x86_64-6.1"]);
        assert!(names(&["6.1"]).contains(&"x86_64-6.1".to_owned()));
        assert!(names(&["x86_64"]).iter().all(|name| name.starts_with("x86_64-")));
        assert_eq!(names(&[]).len(), all().unwrap().len());
        assert!(select(&["6.2".to_owned()]).unwrap_err().to_string().contains("x86_64-6.12"));
    }
}
