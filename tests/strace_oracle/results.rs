//! What `cargo xtask measure-exactness` found: docs/exactness.json, from which docs/exactness.md is made.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Exception};

/// All results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// What was used: `kernel`, `seccomp-trace`, `strace`, `stress-ng`.
    pub versions: BTreeMap<String, String>,
    /// Real programs.
    pub programs: Vec<ProgramResult>,
    /// Stressors, by their names.
    pub stressors: Vec<StressorResult>,
}

/// One program's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramResult {
    /// Its name.
    pub name: String,
    /// What kind of program it is.
    pub kind: String,
    /// What it did.
    pub does: String,
    /// Debian's package.
    pub package: String,
    /// The package's version.
    pub version: String,
    /// What came out.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// One stressor's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StressorResult {
    /// Its name.
    pub name: String,
    /// Why we don't run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
    /// Why stress-ng said that it can't run here. Its own start was compared all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// As whom it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What came out, where it was run.
    #[serde(flatten)]
    pub comparison: Option<Comparison>,
}

impl Results {
    /// Reads the committed ones; none where there is no file.
    pub fn read(file: &Path) -> Result<Option<Self>> {
        if !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text).map(Some).with_context(|| format!("cannot use {}", file.display()))
    }

    /// As they are written: one line a program or stressor, so that a difference between two versions shows whose it is.
    pub fn to_json(&self) -> Result<String> {
        let lines = |list: Vec<String>| list.join(",\n    ");
        let programs = self.programs.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let stressors = self.stressors.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        Ok(format!(
            "{{\n  \"versions\": {},\n  \"programs\": [\n    {}\n  ],\n  \"stressors\": [\n    {}\n  ]\n}}\n",
            serde_json::to_string(&self.versions)?,
            lines(programs),
            lines(stressors)
        ))
    }

    /// Everything that was compared, by its name.
    pub fn compared(&self) -> impl Iterator<Item = (&str, &Comparison)> {
        let programs = self.programs.iter().map(|program| (program.name.as_str(), &program.comparison));
        let stressors = self.stressors.iter();
        programs.chain(stressors.filter_map(|one| Some((one.name.as_str(), one.comparison.as_ref()?))))
    }

    /// What is wrong with them, one line each: differences that are not explained, and exceptions that explain
    /// nothing (anymore).
    pub fn faults(&self, exceptions: &[Exception]) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, comparison) in self.compared() {
            let unexplained = comparison.unexplained(name, exceptions).into_iter();
            faults.extend(unexplained.map(|difference| format!("{name}: {difference}")));
        }
        for exception in exceptions {
            for subject in &exception.subjects {
                let found = |(name, seen): (&str, &Comparison)| {
                    seen.differences
                        .iter()
                        .any(|difference| name == subject && exception.explains(name, difference))
                };
                if !self.compared().any(found) {
                    faults.push(format!(
                        "{subject}: the exception \"{}\" explains nothing",
                        exception.difference
                    ));
                }
            }
        }
        faults
    }
}
