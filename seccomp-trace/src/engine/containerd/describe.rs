//! What containerd says of a container, in our words. Pure.

use std::collections::HashMap;

use prost::Message as _;
use serde::Deserialize;

use super::NAME;
use super::api::{self, Image, Process, RuncOptions};
use super::cgroups::container_id;
use crate::engine::ContainerInfo;
use crate::recording::{Container, Pod};

/// What a container is to its CRI plugin: `container` or `sandbox` (containerd, `pkg/cri/server/helpers.go`).
const KIND: &str = "io.cri-containerd.kind";
/// The kubelet's (kubernetes, `pkg/kubelet/types/labels.go`), and the CRI plugin's own words for the same in the
/// annotations of the specification, which are there without a kubelet too (containerd, `pkg/cri/annotations`).
const POD: (&str, &str) = ("io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name");
const POD_NAMESPACE: (&str, &str) = ("io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace");
const CONTAINER: (&str, &str) = ("io.kubernetes.container.name", "io.kubernetes.cri.container-name");
/// The image as the pod's author named it (from 1.7.3 on; before, one of the image's names).
const IMAGE: &str = "io.kubernetes.cri.image-name";
/// What a pause container is called, as by the kubelet's tools.
const SANDBOX: &str = "POD";
/// nerdctl's name for a container whose id has 64 digits.
pub(super) const NERDCTL: &str = "nerdctl/name";
/// `STOPPED` (api/types/task/task.proto). A task that is created only has its init process already.
const STOPPED: i32 = 3;

/// The only part of the OCI specification that is read.
#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default)]
    annotations: HashMap<String, String>,
}

/// A container by its record and its task, all but the runtime's version and the image's digest.
pub(super) fn describe(
    version: Option<&str>,
    namespace: &str,
    record: api::Container,
    task: Option<&Process>,
) -> ContainerInfo {
    let is_cri = record.labels.contains_key(KIND);
    let is_sandbox = record.labels.get(KIND).is_some_and(|kind| kind == "sandbox");
    let spec =
        record.spec.filter(|_| is_cri).and_then(|spec| serde_json::from_slice::<Spec>(&spec.value).ok());
    let annotations = spec.unwrap_or_default().annotations;
    let word = |(label, annotation): (&str, &str)| {
        let word = record.labels.get(label).or_else(|| annotations.get(annotation));
        word.filter(|word| is_cri && !word.is_empty()).cloned()
    };
    let name = match is_sandbox {
        true => Some(SANDBOX.to_owned()),
        false => word(CONTAINER).or_else(|| record.labels.get(NERDCTL).cloned()),
    };
    let pod = word(POD).map(|name| Pod { namespace: word(POD_NAMESPACE), name });
    let image = annotations.get(IMAGE).filter(|_| !is_sandbox).unwrap_or(&record.image);
    let container = Container {
        engine: NAME.to_owned(),
        engine_version: version.map(str::to_owned),
        runtime: record.runtime.map(|runtime| runtime.name).filter(|name| !name.is_empty()),
        runtime_version: None,
        image: Some(image.clone()).filter(|image| !image.is_empty()),
        image_digest: None,
        id: container_id(namespace, &record.id),
        name: name.unwrap_or(record.id),
        pod,
        labels: record.labels.into_iter().collect(),
    };
    let pid = task.filter(|task| task.status != STOPPED).and_then(|task| i32::try_from(task.pid).ok());
    let pid = pid.filter(|pid| *pid > 0);
    ContainerInfo { container, pid, is_sandbox, is_partial: false }
}

/// The program behind a runtime: what the options name, else runc for containerd's own shim of it.
pub(super) fn program(runtime: &api::Runtime) -> Option<String> {
    let options = runtime.options.as_ref().filter(|any| any.type_url == "containerd.runc.v1.Options");
    let binary = options.and_then(|any| RuncOptions::decode(any.value.as_slice()).ok());
    let file = runtime.name.rsplit('/').next().unwrap_or_default();
    let is_runc = file.starts_with("io.containerd.runc.") || file.starts_with("containerd-shim-runc-");
    let named = binary.map(|options| options.binary_name).filter(|name| !name.is_empty());
    named.or_else(|| is_runc.then(|| "runc".to_owned()))
}

/// The image's digest, unless its name came to mean another image after the container was made.
pub(super) fn digest(image: Image, record: &api::Container) -> Option<String> {
    let digest = image.target?.digest;
    (!digest.is_empty() && image.updated_at <= record.created_at).then_some(digest)
}

#[cfg(test)]
mod tests;
