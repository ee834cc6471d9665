//! Which cgroups are containers of containerd. By default a client that is no Kubernetes asks for `/NAMESPACE/ID`
//! (`oci.WithDefaultSpec`), where the id is any name; so the namespaces have to be known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use crate::engine::cgroup_path::{self, ContainerCgroup, is_id};

/// Docker's containers. Docker names them; here they are nobody's.
pub(super) const DOCKERS: &str = "moby";

/// Where containerd keeps a folder for each namespace in which a container has run (`runtime/v2/manager.go`), below its
/// state's.
const TASKS: &str = "io.containerd.runtime.v2.task";

/// The namespaces that containerd has, or had while it was watched.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    told: RwLock<BTreeSet<String>>,
    /// Where its state may be: nothing says where it is, but it is beside the socket.
    states: Vec<PathBuf>,
}

impl Namespaces {
    /// Of the containerd at this socket; none is known yet.
    pub fn of(socket: &Path) -> Self {
        let beside = socket.parent().into_iter();
        let states = beside.flat_map(|folder| [folder.join(TASKS), folder.join("containerd").join(TASKS)]);
        Self { told: RwLock::default(), states: states.collect() }
    }

    /// Here are some. None is ever forgotten: what ran in it may have to be named still.
    pub fn add(&self, names: impl IntoIterator<Item = String>) {
        let mut known = self.told.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(names.into_iter().filter(|name| name != DOCKERS && !name.is_empty()));
    }

    /// The container of a cgroup, by its path: as [`cgroup_path::container`], and `NAMESPACE/ID`.
    pub fn container_of<'a>(&self, path: &'a str) -> Option<ContainerCgroup<'a>> {
        self.named(path).or_else(|| cgroup_path::container(path))
    }

    fn has(&self, namespace: &str) -> bool {
        // The kernel's news of a cgroup may come before containerd's of its namespace.
        namespace != DOCKERS
            && (self.told.read().unwrap_or_else(PoisonError::into_inner).contains(namespace)
                || self.states.iter().any(|state| state.join(namespace).is_dir()))
    }

    fn named<'a>(&self, path: &'a str) -> Option<ContainerCgroup<'a>> {
        let path = path.strip_suffix(" (deleted)").unwrap_or(path).trim_end_matches('/');
        let (namespace, rest) = path.strip_prefix('/')?.split_once('/')?;
        let id = rest.split('/').next().filter(|id| !id.is_empty() && !is_id(id))?;
        if !self.has(namespace) {
            return None;
        }
        let end = 1 + namespace.len() + 1 + id.len();
        Some(ContainerCgroup { id: path.get(1..end)?, path: path.get(..end)?, below: end < path.len() })
    }
}

/// What a container is called here: of a whole id that alone, else with its namespace.
pub(super) fn container_id(namespace: &str, id: &str) -> String {
    if is_id(id) { id.to_owned() } else { format!("{namespace}/{id}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4a9c0d1e2b3f4a9c0d1e2b3f4a9c0d1e2b3f4a9c0d1e2b3f4a9c0d1e2b3f4a";

    fn namespaces() -> Namespaces {
        let namespaces = Namespaces::default();
        namespaces.add(["default", "k8s.io", DOCKERS, ""].map(str::to_owned));
        namespaces
    }

    #[track_caller]
    fn is(path: &str, id: &str, own: &str, below: bool) {
        let (path, id, own) = (path.replace("ID", ID), id.replace("ID", ID), own.replace("ID", ID));
        let found = namespaces().container_of(&path);
        assert_eq!(found, Some(ContainerCgroup { id: &id, path: &own, below }));
    }

    #[test]
    fn a_name_in_a_namespace() {
        is("/default/web", "default/web", "/default/web", false);
        is("/default/web/init.scope", "default/web", "/default/web", true);
        is("/default/web (deleted)", "default/web", "/default/web", false);
        is("/default/web/docker/ID", "default/web", "/default/web", true);
    }

    #[test]
    fn a_whole_id_is_enough() {
        is("/default/ID", "ID", "/default/ID", false);
        is("/k8s.io/ID/x", "ID", "/k8s.io/ID", true);
        let pod = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod2f3c.slice";
        is(&format!("{pod}/cri-containerd-ID.scope"), "ID", &format!("{pod}/cri-containerd-ID.scope"), false);
        let mixed = "/system.slice/containerd.service/kubepods-besteffort-pod2f3c.slice:cri-containerd:ID";
        is(mixed, "ID", mixed, false);
        assert_eq!(container_id("k8s.io", ID), ID);
        assert_eq!(container_id("default", "web"), "default/web");
    }

    #[test]
    fn a_namespace_that_nobody_has_told() {
        let folder = tempfile::tempdir().unwrap();
        let namespaces = Namespaces::of(&folder.path().join("containerd.sock"));
        let is_known = |path: &str| namespaces.container_of(path).is_some();
        assert!(!is_known("/team/web") && !is_known("/other/web"));
        std::fs::create_dir_all(folder.path().join(TASKS).join("team")).unwrap();
        std::fs::create_dir_all(folder.path().join("containerd").join(TASKS).join("other")).unwrap();
        std::fs::create_dir_all(folder.path().join(TASKS).join(DOCKERS)).unwrap();
        assert!(is_known("/team/web") && is_known("/other/web"));
        assert!(!is_known("/moby/web") && !is_known("/third/web"));
    }

    #[test]
    fn other_folders_are_no_containers() {
        for path in [
            "",
            "/",
            "/default",
            "/default/",
            "/default//x",
            "/user.slice/user-0.slice",
            "/moby/x",
            "/other/web",
            "//x",
            "default/web",
        ] {
            assert_eq!(namespaces().container_of(path), None, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_container_names_its_cgroups_it_stays_the_same(path in ".{0,80}") {
            let outer = format!("/default/web/{path}");
            let namespaces = namespaces();
            proptest::prop_assert_eq!(namespaces.container_of(&outer).map(|found| found.id), Some("default/web"));
            let _ = namespaces.container_of(&path);
        }
    }
}
