//! From a cgroup's path to the container in it. Pure: what engines and their cgroup drivers call the
//! cgroups of containers, and nothing else; that a container of this id exists is the engine's to say.

/// The length of a container's whole id, in hexadecimal digits.
pub const ID_LENGTH: usize = 64;

/// A container's cgroup, as its path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerCgroup<'a> {
    /// The container's whole id.
    pub id: &'a str,
    /// The path of the container's own cgroup.
    pub path: &'a str,
    /// True where the given path lies below the container's own cgroup: systemd in a container, crun's
    /// `container`, a container in this container.
    pub below: bool,
}

/// The container that a cgroup belongs to, by its path below the mount (as in `/proc/PID/cgroup`, also
/// with the kernel's ` (deleted)` at the end). Of nested containers the outermost is taken: what is
/// below it, the container itself may have named. `None` where no part of the path is a container's.
pub fn container(path: &str) -> Option<ContainerCgroup<'_>> {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let path = path.trim_end_matches('/');
    let (mut start, mut parent) = (0, "");
    for part in path.split('/') {
        let end = start + part.len();
        if let Some(id) = id_of(part, parent) {
            return Some(ContainerCgroup { id, path: path.get(..end)?, below: end < path.len() });
        }
        (start, parent) = (end + 1, part);
    }
    None
}

/// The id in the name of one cgroup: `<id>` (the cgroupfs driver), `docker-<id>.scope` (systemd's),
/// `libpod-<id>` (podman with cgroupfs), `…slice:cri-containerd:<id>` (containerd, its drivers mixed up).
fn id_of<'a>(part: &'a str, parent: &str) -> Option<&'a str> {
    let unit = part.strip_suffix(".scope").unwrap_or(part);
    let split = unit.len().checked_sub(ID_LENGTH)?;
    let (prefix, id) = unit.split_at_checked(split)?;
    let scope = unit.len() < part.len();
    let named = match prefix {
        // Podman names a pod by its bare id, below this parent.
        "" => !scope && parent != "libpod_parent",
        // Conmon watches over a container from a cgroup of its own, beside it.
        _ if prefix.ends_with("conmon-") => false,
        _ => prefix.ends_with(['-', ':']),
    };
    (named && is_id(id)).then_some(id)
}

/// True for a whole container id: 64 lower-case hexadecimal digits.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4a9c0d1e2b3f4a9c0d1e2b3f4a9c0d1e2b3f4a9c0d1e2b3f4a9c0d1e2b3f4a";
    const INNER: &str = "00000000111111112222222233333333444444445555555566666666777777aa";

    #[track_caller]
    fn own(path: &str) {
        let path = path.replace("ID", ID);
        assert_eq!(container(&path), Some(ContainerCgroup { id: ID, path: &path, below: false }));
    }

    #[track_caller]
    fn below(own: &str, rest: &str) {
        let (own, rest) = (own.replace("ID", ID), rest.replace("INNER", INNER));
        let path = format!("{own}{rest}");
        assert_eq!(container(&path), Some(ContainerCgroup { id: ID, path: &own, below: true }));
    }

    #[track_caller]
    fn none(path: &str) {
        assert_eq!(container(&path.replace("ID", ID)), None);
    }

    #[test]
    fn docker() {
        own("/docker/ID");
        own("/system.slice/docker-ID.scope");
        own("/my-parent/ID");
        // systemd's driver, with --cgroup-parent, and in a systemd that is in a container itself.
        own("/my.slice/my-team.slice/docker-ID.scope");
        own("/lxc.payload.ci/system.slice/docker-ID.scope");
        own("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope");
    }

    #[test]
    fn podman() {
        own("/machine.slice/libpod-ID.scope");
        own("/libpod_parent/libpod-ID");
        own("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope");
        below("/machine.slice/libpod-ID.scope", "/container");
        none("/machine.slice/libpod-conmon-ID.scope");
        none("/libpod_parent/libpod-conmon-ID");
        none("/machine.slice/machine-libpod_pod_ID.slice");
        none("/libpod_parent/ID");
    }

    #[test]
    fn kubernetes() {
        own("/kubepods/burstable/pod2f3c9a9e-6a3c-4a55-9d0e-1f6b7c8d9e0f/ID");
        let pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2f3c9a9e.slice";
        own(&format!("{pod}/cri-containerd-ID.scope"));
        own(&format!("{pod}/crio-ID.scope"));
        own("/system.slice/containerd.service/kubepods-besteffort-pod2f3c9a9e.slice:cri-containerd:ID");
        none(&format!("{pod}/crio-conmon-ID.scope"));
        none(pod);
    }

    #[test]
    fn below_a_container() {
        below("/docker/ID", "/system.slice/foo.service");
        below("/system.slice/docker-ID.scope", "/init.scope");
    }

    #[test]
    fn of_nested_containers_the_outermost() {
        below("/docker/ID", "/docker/INNER");
        below("/docker/ID", "/system.slice/docker-INNER.scope");
        below("/docker/ID", "/INNER");
    }

    #[test]
    fn a_removed_cgroup_keeps_its_container() {
        let path = format!("/docker/{ID} (deleted)");
        assert_eq!(container(&path).map(|found| (found.id, found.below)), Some((ID, false)));
        assert_eq!(container(&format!("/docker/{ID}/")).map(|found| found.below), Some(false));
    }

    #[test]
    fn no_container() {
        for path in ["", "/", "/user.slice/user-0.slice/session-1.scope", "/docker", "/docker/buildkit/abc"] {
            none(path);
        }
        none("/docker/xID");
        none("/docker/IDa.scope");
        none("/ID.scope");
        none("/docker-ID.service");
        assert_eq!(container(&format!("/docker/{}", ID.to_uppercase())), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_container_names_its_cgroups_nothing_breaks(path in ".{0,200}") {
            let _ = container(&path);
            let outer = format!("/docker/{ID}/{path}");
            proptest::prop_assert_eq!(container(&outer).map(|found| found.id), Some(ID));
        }
    }
}
