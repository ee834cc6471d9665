use super::super::api::{Any, Descriptor, Runtime, Timestamp};
use super::*;

const ID: &str = "3f4a9c0d1e2b3f4a9c0d1e2b3f4a9c0d1e2b3f4a9c0d1e2b3f4a9c0d1e2b3f4a";

fn record(id: &str, labels: &[(&str, &str)], spec: &str) -> api::Container {
    api::Container {
        id: id.to_owned(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        image: "docker.io/library/nginx:1.27".to_owned(),
        runtime: Some(Runtime { name: "io.containerd.runc.v2".to_owned(), options: None }),
        spec: Some(Any { value: spec.as_bytes().to_vec(), ..Any::default() }),
        created_at: Some(Timestamp { seconds: 10, nanoseconds: 0 }),
    }
}

fn of(id: &str, labels: &[(&str, &str)], spec: &str) -> ContainerInfo {
    describe(Some("1.6.20"), "k8s.io", record(id, labels, spec), None)
}

#[test]
fn a_pods_container() {
    let labels = [
        (KIND, "container"),
        ("io.kubernetes.pod.name", "web-1"),
        ("io.kubernetes.pod.namespace", "shop"),
        ("io.kubernetes.container.name", "nginx"),
    ];
    let spec = r#"{"ociVersion":"1","annotations":{"io.kubernetes.cri.image-name":"nginx:1.27"}}"#;
    let info = of(ID, &labels, spec);
    let container = info.container;
    assert_eq!((container.name.as_str(), container.id.as_str()), ("nginx", ID));
    assert_eq!(container.pod, Some(Pod { namespace: Some("shop".to_owned()), name: "web-1".to_owned() }));
    assert_eq!(container.image.as_deref(), Some("nginx:1.27"));
    assert_eq!(container.labels.len(), 4);
    assert!(!info.is_sandbox);
}

#[test]
fn a_pods_container_without_a_kubelet() {
    let spec = r#"{"annotations":{"io.kubernetes.cri.sandbox-name":"web-1",
        "io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.container-name":"nginx"}}"#;
    let container = of(ID, &[(KIND, "container")], spec).container;
    assert_eq!(container.name, "nginx");
    assert_eq!(container.pod, Some(Pod { namespace: Some("shop".to_owned()), name: "web-1".to_owned() }));
}

#[test]
fn a_sandbox() {
    let labels = [(KIND, "sandbox"), ("io.kubernetes.pod.name", "web-1")];
    let info = of(ID, &labels, "no JSON");
    assert!(info.is_sandbox);
    assert_eq!((info.container.name.as_str(), info.container.pod.unwrap().name.as_str()), ("POD", "web-1"));
}

/// Only the CRI plugin's word for a pod counts: anybody may give a container of his own such labels.
#[test]
fn others() {
    let labels = [("io.kubernetes.pod.name", "web-1"), ("io.kubernetes.container.name", "nginx")];
    let container = of("web", &labels, "{}").container;
    assert_eq!((container.name.as_str(), container.id.as_str()), ("web", "k8s.io/web"));
    assert_eq!(container.pod, None);
    assert_eq!(of(ID, &[(NERDCTL, "web")], "{}").container.name, "web");
}

#[test]
fn the_process_of_a_task() {
    let pid = |status, pid| {
        let task = Process { id: "web".to_owned(), pid, status };
        describe(None, "default", record("web", &[], ""), Some(&task)).pid
    };
    assert_eq!((pid(1, 41), pid(2, 41), pid(STOPPED, 41)), (Some(41), Some(41), None));
    assert_eq!((pid(2, 0), pid(2, u32::MAX)), (None, None));
}

#[test]
fn the_program_of_a_runtime() {
    let options = RuncOptions { binary_name: "/usr/bin/crun".to_owned() }.encode_to_vec();
    let runtime = |name: &str, type_url: &str| Runtime {
        name: name.to_owned(),
        options: Some(Any { type_url: type_url.to_owned(), value: options.clone() }),
    };
    let named = |name, type_url| program(&runtime(name, type_url));
    assert_eq!(
        named("io.containerd.runc.v2", "containerd.runc.v1.Options").as_deref(),
        Some("/usr/bin/crun")
    );
    assert_eq!(named("io.containerd.runc.v2", "").as_deref(), Some("runc"));
    assert_eq!(named("/opt/bin/containerd-shim-runc-v2", "").as_deref(), Some("runc"));
    assert_eq!(named("io.containerd.kata.v2", "runtimeoptions.v1.Options"), None);
}

#[test]
fn a_digest_that_may_be_another_images_is_none() {
    let image = |seconds| Image {
        target: Some(Descriptor { digest: "sha256:12".to_owned() }),
        updated_at: Some(Timestamp { seconds, nanoseconds: 0 }),
    };
    let record = record("web", &[], "");
    assert_eq!(digest(image(9), &record).as_deref(), Some("sha256:12"));
    assert_eq!(digest(image(11), &record), None);
    assert_eq!(digest(Image::default(), &record), None);
}
