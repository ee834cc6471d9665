//! What Docker says of a container, in our words. Pure.

use std::collections::{BTreeMap, HashMap};

use bollard::models::ContainerInspectResponse;
use serde::Deserialize;

use crate::engine::ContainerInfo;
use crate::recording::Container;

/// This engine's name.
pub const ENGINE: &str = "docker";

/// An entry of the list of containers: what is taken of it, and nothing else. bollard's would take many times what an engine sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    /// The whole id.
    pub id: Option<String>,
    names: Option<Vec<String>>,
    image: Option<String>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

/// What of the engine matters to each container.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Facts {
    /// Whose containers they are.
    pub engine: &'static str,
    /// What stands beside the labels in an event's attributes, besides `name` and `image`.
    pub attributes: &'static [&'static str],
    pub version: Option<String>,
    /// The runtime of containers that name none.
    pub default_runtime: Option<String>,
}

impl Facts {
    /// From `docker inspect`, all but the runtime's version and the image's digest.
    pub fn describe(&self, inspected: ContainerInspectResponse) -> Option<ContainerInfo> {
        let config = inspected.config.unwrap_or_default();
        let host = inspected.host_config.unwrap_or_default();
        let runtime = host.runtime.filter(|runtime| !runtime.is_empty());
        let container = Container {
            engine: self.engine.to_owned(),
            engine_version: self.version.clone(),
            runtime: runtime.or_else(|| self.default_runtime.clone()),
            runtime_version: None,
            name: name(&inspected.name.unwrap_or_default()),
            id: inspected.id?,
            image: config.image.filter(|image| !image.is_empty()),
            image_digest: inspected.image.filter(|image| !image.is_empty()),
            pod: None,
            labels: config.labels.unwrap_or_default().into_iter().collect(),
        };
        let pid = inspected.state.and_then(|state| state.pid);
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
        Some(ContainerInfo { container, pid, ..ContainerInfo::default() })
    }

    /// From the list of containers: what is known of one that can't be inspected.
    pub(super) fn listed(&self, listed: Listed) -> Option<ContainerInfo> {
        // The names of links to it have a second slash.
        let names = listed.names.unwrap_or_default();
        let own = names.iter().find(|name| !name.trim_start_matches('/').contains('/'));
        let container = Container {
            engine: self.engine.to_owned(),
            engine_version: self.version.clone(),
            name: own.map(|own| name(own)).unwrap_or_default(),
            id: listed.id?,
            image: listed.image,
            image_digest: listed.image_id,
            labels: listed.labels.unwrap_or_default(),
            ..Container::default()
        };
        Some(ContainerInfo { container, is_partial: true, ..ContainerInfo::default() })
    }

    /// From a `create` event: the attributes are its name, its image, and its labels.
    pub fn created(&self, id: String, mut attributes: HashMap<String, String>) -> Container {
        Container {
            engine: self.engine.to_owned(),
            engine_version: self.version.clone(),
            name: attributes.remove("name").map(|text| name(&text)).unwrap_or_default(),
            id,
            image: attributes.remove("image").filter(|image| !image.is_empty()),
            labels: attributes
                .into_iter()
                .filter(|(key, _)| !self.attributes.contains(&key.as_str()))
                .collect(),
            ..Container::default()
        }
    }
}

/// The digest of the image as the user named it: of all repositories that the image is known from, the
/// one that `image` names, or else the first.
pub(super) fn digest(image: &str, repo_digests: &[String]) -> Option<String> {
    let splits = || repo_digests.iter().filter_map(|text| text.split_once('@'));
    let repository = image.split_once('@').map_or(image, |(name, _)| name);
    let named = splits().find(|(name, _)| {
        repository.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    });
    named.or_else(|| splits().next()).map(|(_, digest)| digest.to_owned())
}

fn name(text: &str) -> String {
    text.strip_prefix('/').unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let (version, default_runtime) = (Some("20.10".to_owned()), Some("runc".into()));
        Facts { engine: ENGINE, attributes: &[], version, default_runtime }
    }

    fn inspected(json: &str) -> Option<ContainerInfo> {
        facts().describe(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn an_inspected_container() {
        let info = inspected(
            r#"{"Id":"c0ffee","Name":"/web","Image":"sha256:12","State":{"Pid":41},
                "Config":{"Image":"nginx:1.27","Labels":{"tier":"front"}},"HostConfig":{"Runtime":"crun"}}"#,
        )
        .unwrap();
        assert_eq!(info.pid, Some(41));
        let container = info.container;
        assert_eq!((container.name.as_str(), container.id.as_str()), ("web", "c0ffee"));
        assert_eq!(container.image.as_deref(), Some("nginx:1.27"));
        assert_eq!(container.image_digest.as_deref(), Some("sha256:12"));
        assert_eq!(container.runtime.as_deref(), Some("crun"));
        assert_eq!(container.labels["tier"], "front");
    }

    #[test]
    fn missing_fields_are_missing() {
        assert_eq!(inspected("{}"), None);
        let info = inspected(r#"{"Id":"c0ffee","State":{"Pid":0},"Config":{"Image":""}}"#).unwrap();
        assert_eq!((info.pid, info.container.image), (None, None));
        assert_eq!(info.container.runtime.as_deref(), Some("runc"));
        for pid in ["-1", "99999999999"] {
            assert_eq!(inspected(&format!(r#"{{"Id":"a","State":{{"Pid":{pid}}}}}"#)).unwrap().pid, None);
        }
    }

    #[test]
    fn a_created_container_is_known_by_its_event() {
        let attributes = [("name", "web"), ("image", "nginx"), ("tier", "front"), ("exitCode", "label")];
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let container = facts().created("c0ffee".to_owned(), attributes);
        assert_eq!((container.name.as_str(), container.image.as_deref()), ("web", Some("nginx")));
        assert_eq!(container.labels.len(), 2);
    }

    #[test]
    fn the_digest_of_the_repository_in_use() {
        let digests = ["a/b@sha256:1", "nginx@sha256:2", "nginx-x@sha256:3"].map(str::to_owned);
        assert_eq!(digest("nginx:1.27", &digests).as_deref(), Some("sha256:2"));
        assert_eq!(digest("nginx-x", &digests).as_deref(), Some("sha256:3"));
        assert_eq!(digest("other", &digests).as_deref(), Some("sha256:1"));
        assert_eq!(digest("other", &[]), None);
    }
}
