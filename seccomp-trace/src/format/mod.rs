//! Ways to write a profile, one file each. Functions from a profile to text; nothing here writes files.

pub mod oci;

use std::collections::BTreeSet;

use clap::ValueEnum;

use crate::profile::Profile;

/// One way to write a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The OCI runtime specification's JSON: `docker run --security-opt seccomp=FILE`, podman, and a
    /// Kubernetes Localhost profile take it.
    #[default]
    Oci,
}

impl Format {
    /// The profile as text: the same profile gives the same bytes.
    pub fn write(self, profile: &Profile) -> String {
        match self {
            Format::Oci => oci::write(profile),
        }
    }

    /// The names that a profile of this format allows; none where it is no such profile, or allows everything.
    pub fn allowed(self, profile: &[u8]) -> Option<BTreeSet<String>> {
        match self {
            Format::Oci => oci::allowed(profile),
        }
    }
}
