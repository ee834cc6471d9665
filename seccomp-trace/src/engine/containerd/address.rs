//! Where containerd answers: `CONTAINERD_ADDRESS`, as ctr and nerdctl read it, else the first socket that is there.

use std::path::{Path, PathBuf};

use super::NAME;
use crate::engine::EngineError;

/// containerd's own, and those of the Kubernetes distributions that bring one along.
const WELL_KNOWN: [&str; 4] = [
    "/run/containerd/containerd.sock",
    // k3s and RKE2.
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
];

/// The socket to ask, by the value of `CONTAINERD_ADDRESS`.
///
/// Errors: [`EngineError::Absent`] where none was given and none is there.
pub(super) fn socket(given: Option<&str>) -> Result<PathBuf, EngineError> {
    match given.filter(|given| !given.is_empty()) {
        Some(given) => absolute(given),
        None => WELL_KNOWN.map(Path::new).into_iter().find(|path| path.exists()).map_or_else(
            || {
                let reason = format!(
                    "there is no socket {}; is containerd running? CONTAINERD_ADDRESS names another one",
                    WELL_KNOWN.join(", ")
                );
                Err(EngineError::Absent { engine: NAME, reason })
            },
            |path| Ok(path.to_owned()),
        ),
    }
}

fn absolute(given: &str) -> Result<PathBuf, EngineError> {
    let path = given.strip_prefix("unix://").unwrap_or(given);
    if path.starts_with('/') {
        return Ok(path.into());
    }
    Err(EngineError::Address(format!(
        "CONTAINERD_ADDRESS={given}: this is no path of a socket on this host, such as {}",
        WELL_KNOWN[0]
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_given() {
        for given in ["/run/other.sock", "unix:///run/other.sock"] {
            assert_eq!(socket(Some(given)).unwrap(), Path::new("/run/other.sock"));
        }
        for given in ["tcp://10.0.0.1:1234", "other.sock", "npipe://x"] {
            assert!(matches!(socket(Some(given)), Err(EngineError::Address(_))), "{given}");
        }
    }
}
