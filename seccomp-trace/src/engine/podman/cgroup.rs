//! The cgroups of Podman's containers. Pure.
//!
//! Its pods are cgroups with a bare id for a name, wherever `--cgroup-parent` puts them; its containers are not:
//! `libpod-ID` (cgroupfs), `libpod-ID.scope` (systemd), `libpod-payload-ID` (`--cgroups=split`, as Quadlet starts them;
//! containers/podman, libpod/oci_conmon_linux.go). Conmon is in a cgroup beside them, or in the service's own.

use crate::engine::cgroup_path::{self, ContainerCgroup};

/// As [`cgroup_path::container`], of Podman's containers alone.
pub(super) fn container(path: &str) -> Option<ContainerCgroup<'_>> {
    let mut start = 0;
    loop {
        let found = cgroup_path::container(path.get(start..)?)?;
        let name = found.path.rsplit('/').next().unwrap_or_default();
        start += found.path.len();
        if name.starts_with("libpod-") {
            return Some(ContainerCgroup { path: path.get(..start)?, ..found });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "72f66d1bec30631db29e41b7c52de0df824f1d5de0800a5a79648a52f35d318e";
    const POD: &str = "561af87ea976fab3ec9d945fcffe4bf888cad8a5efb59b55a122c528c7d5e486";

    /// The container's own cgroup ends at `|`.
    #[track_caller]
    fn is(path: &str) {
        let path = path.replace("POD", POD).replace("ID", ID);
        let own = path.split('|').next().unwrap();
        let (whole, below) = (path.replace('|', ""), path.contains('|'));
        assert_eq!(container(&whole), Some(ContainerCgroup { id: ID, path: own, below }));
    }

    #[track_caller]
    fn none(path: &str) {
        assert_eq!(container(&path.replace("POD", POD).replace("ID", ID)), None);
    }

    /// Seen with podman 4.3.1, runc 1.1.5 and crun 1.8.1, without systemd; under `--cgroups=no-conmon` and
    /// `--cgroupns=host` the same.
    #[test]
    fn with_cgroupfs() {
        is("/libpod_parent/libpod-ID");
        is("/mine/sub/libpod-ID");
        none("/libpod_parent/POD");
        is("/libpod_parent/POD/libpod-ID");
        none("/mine/POD");
        is("/mine/POD/libpod-ID");
        // From its source, not seen here: of conmon, where cgroup v2 is alone.
        none("/libpod_parent/conmon");
    }

    /// From its source and other hosts: no systemd runs here.
    #[test]
    fn with_systemd() {
        is("/machine.slice/libpod-ID.scope");
        is("/machine.slice/libpod-ID.scope|/container");
        is("/machine.slice/machine-libpod_pod_POD.slice/libpod-ID.scope|/container");
        is("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope");
        is("/system.slice/web.service/libpod-payload-ID");
        none("/system.slice/web.service/supervisor");
        none("/machine.slice/libpod-conmon-ID.scope");
        none("/machine.slice/machine-libpod_pod_POD.slice");
    }

    #[test]
    fn other_engines() {
        none("/docker/ID");
        none("/system.slice/docker-ID.scope");
        none("/");
        none("");
    }

    #[test]
    fn what_is_below_a_container_is_its_own() {
        is(&format!("/libpod_parent/libpod-ID|/libpod_parent/libpod-{POD}"));
        assert_eq!(
            container(&format!("/libpod_parent/libpod-{ID} (deleted)")).map(|found| found.id),
            Some(ID)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_path_is_read_to_its_end(path in "(/[a-z]{0,3}|/ID|/libpod-ID|/libpod-conmon-ID| |é){0,9}") {
            let path = path.replace("ID", ID);
            if let Some(found) = container(&path) {
                proptest::prop_assert!(path.starts_with(found.path) && found.path.ends_with(ID));
            }
        }
    }
}
