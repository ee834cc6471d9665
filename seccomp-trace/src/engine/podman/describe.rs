//! What Podman says of a container, in our words. Pure. Fields as in containers/podman, libpod/define/container_inspect.go
//! and pkg/domain/entities/container_ps.go.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::engine::ContainerInfo;
use crate::engine::docker::describe::Facts;
use crate::recording::{Container, Pod};

/// An entry of the list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    /// The whole id.
    pub id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    pid: Option<i64>,
    /// Empty where it is in none.
    pub pod_name: Option<String>,
    #[serde(default)]
    is_infra: bool,
}

/// One container, inspected.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    /// The whole id.
    pub id: String,
    #[serde(default)]
    name: String,
    image: Option<String>,
    image_name: Option<String>,
    image_digest: Option<String>,
    #[serde(rename = "OCIRuntime")]
    runtime: Option<String>,
    /// The pod's id; empty where it is in none.
    pod: Option<String>,
    #[serde(default)]
    is_infra: bool,
    state: Option<State>,
    config: Option<Config>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    pid: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    labels: Option<BTreeMap<String, String>>,
}

impl Listed {
    /// What is known of one that can't be inspected.
    pub fn describe(self, facts: &Facts) -> ContainerInfo {
        let container = Container {
            engine: facts.engine.to_owned(),
            engine_version: facts.version.clone(),
            name: self.names.unwrap_or_default().into_iter().next().unwrap_or_default(),
            id: self.id,
            image: given(self.image),
            pod: pod(self.pod_name),
            labels: self.labels.unwrap_or_default(),
            ..Container::default()
        };
        ContainerInfo { container, pid: running(self.pid), is_sandbox: self.is_infra, is_partial: true }
    }
}

impl Inspected {
    /// Whether it has a pod, whose name is to be asked for.
    pub fn is_in_pod(&self) -> bool {
        self.pod.as_deref().is_some_and(|pod| !pod.is_empty())
    }

    /// All but what its runtime is: as Podman calls it.
    pub fn describe(self, facts: &Facts, pod_name: Option<String>) -> ContainerInfo {
        let container = Container {
            engine: facts.engine.to_owned(),
            engine_version: facts.version.clone(),
            runtime: given(self.runtime).or_else(|| facts.default_runtime.clone()),
            runtime_version: None,
            name: self.name,
            id: self.id,
            image: given(self.image_name),
            image_digest: given(self.image_digest)
                .or_else(|| given(self.image).map(|id| format!("sha256:{id}"))),
            pod: pod(pod_name),
            labels: self.config.and_then(|config| config.labels).unwrap_or_default(),
        };
        let pid = self.state.and_then(|state| state.pid);
        ContainerInfo { container, pid: running(pid), is_sandbox: self.is_infra, is_partial: false }
    }
}

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn pod(name: Option<String>) -> Option<Pod> {
    given(name).map(|name| Pod { namespace: None, name })
}

fn running(pid: Option<i64>) -> Option<i32> {
    i32::try_from(pid?).ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { engine: "podman", version: Some("4.3.1".to_owned()), ..Facts::default() }
    }

    #[test]
    fn an_inspected_container() {
        let inspected: Inspected = serde_json::from_str(
            r#"{"Id":"9106","Name":"web","Image":"b356","ImageDigest":"sha256:f2f4","ImageName":"localhost/bb:latest",
                "OCIRuntime":"crun","Pod":"5b7c","IsInfra":false,"State":{"Pid":41},"Config":{"Labels":{"tier":"front"}}}"#,
        )
        .unwrap();
        assert!(inspected.is_in_pod());
        let info = inspected.describe(&facts(), Some("shop".to_owned()));
        assert_eq!((info.pid, info.is_sandbox), (Some(41), false));
        let container = info.container;
        assert_eq!((container.engine.as_str(), container.name.as_str()), ("podman", "web"));
        assert_eq!(container.image.as_deref(), Some("localhost/bb:latest"));
        assert_eq!(container.image_digest.as_deref(), Some("sha256:f2f4"));
        assert_eq!(container.runtime.as_deref(), Some("crun"));
        assert_eq!(container.pod, Some(Pod { namespace: None, name: "shop".to_owned() }));
        assert_eq!(container.labels["tier"], "front");
    }

    #[test]
    fn missing_fields_are_missing() {
        let text = r#"{"Id":"9106","Image":"b356","ImageDigest":"","ImageName":"","Pod":"","State":{"Pid":0},"Config":{"Labels":null}}"#;
        let inspected: Inspected = serde_json::from_str(text).unwrap();
        assert!(!inspected.is_in_pod());
        let info = inspected.describe(&facts(), None);
        assert_eq!((info.pid, info.container.image, info.container.pod), (None, None, None));
        assert_eq!(info.container.image_digest.as_deref(), Some("sha256:b356"));
    }

    #[test]
    fn a_listed_container() {
        let text = r#"{"Id":"ac64","Names":["5b7c-infra"],"Image":"localhost/bb:latest","IsInfra":true,"Labels":null,
            "Pid":7,"Pod":"5b7c","PodName":"shop","Ports":null}"#;
        let info = serde_json::from_str::<Listed>(text).unwrap().describe(&facts());
        assert_eq!((info.pid, info.is_sandbox, info.container.name.as_str()), (Some(7), true, "5b7c-infra"));
        assert_eq!(info.container.pod.map(|pod| pod.name).as_deref(), Some("shop"));
    }
}
