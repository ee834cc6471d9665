//! containerd's gRPC messages, with the fields that are read here and no others. By hand, since the crates that have
//! all of them need `protoc` to build. Source: github.com/containerd/containerd, `api/` (`services/*/v1`, `types`,
//! `events`), whose field numbers are the same in 1.6, 1.7 and 2.x.

use std::collections::HashMap;

use prost::Message;

/// `containerd.services.version.v1`.
pub const VERSION: &str = "/containerd.services.version.v1.Version/Version";
/// `containerd.services.namespaces.v1`.
pub const NAMESPACES: &str = "/containerd.services.namespaces.v1.Namespaces/List";
/// One container. [`ById`] → [`Got`]
pub const CONTAINER: &str = "/containerd.services.containers.v1.Containers/Get";
/// All containers, one a message: a list has a limit of 16 MiB. [`Empty`] → [`Got`]
pub const CONTAINERS: &str = "/containerd.services.containers.v1.Containers/ListStream";
/// The task of a container: its processes. [`ById`] → [`GotTask`]
pub const TASK: &str = "/containerd.services.tasks.v1.Tasks/Get";
/// [`Empty`] → [`Tasks`]
pub const TASKS: &str = "/containerd.services.tasks.v1.Tasks/List";
/// [`ById`] → [`GotImage`]
pub const IMAGE: &str = "/containerd.services.images.v1.Images/Get";
/// [`Filters`] → [`Envelope`]
pub const SUBSCRIBE: &str = "/containerd.services.events.v1.Events/Subscribe";
/// [`Publish`] → [`Empty`]
pub const PUBLISH: &str = "/containerd.services.events.v1.Events/Publish";

/// A request without a condition, or an answer of which nothing is read.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub struct Version {
    #[prost(string, tag = "1")]
    pub version: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Namespaces {
    #[prost(message, repeated, tag = "1")]
    pub namespaces: Vec<Named>,
}

/// A namespace, and the events `NamespaceCreate` and `ContainerDelete`.
#[derive(Clone, PartialEq, Message)]
pub struct Named {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A container by its id, or an image by its name.
#[derive(Clone, PartialEq, Message)]
pub struct ById {
    #[prost(string, tag = "1")]
    pub id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Got {
    #[prost(message, optional, tag = "1")]
    pub container: Option<Container>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Container {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(map = "string, string", tag = "2")]
    pub labels: HashMap<String, String>,
    #[prost(string, tag = "3")]
    pub image: String,
    #[prost(message, optional, tag = "4")]
    pub runtime: Option<Runtime>,
    /// The OCI runtime's specification, in JSON.
    #[prost(message, optional, tag = "5")]
    pub spec: Option<Any>,
    #[prost(message, optional, tag = "8")]
    pub created_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Runtime {
    /// `io.containerd.runc.v2`.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub options: Option<Any>,
}

/// `containerd.runc.v1.Options`.
#[derive(Clone, PartialEq, Message)]
pub struct RuncOptions {
    #[prost(string, tag = "6")]
    pub binary_name: String,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.protobuf.Timestamp`, since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanoseconds: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct GotTask {
    #[prost(message, optional, tag = "1")]
    pub process: Option<Process>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Tasks {
    #[prost(message, repeated, tag = "1")]
    pub tasks: Vec<Process>,
}

/// The init process of a container.
#[derive(Clone, PartialEq, Message)]
pub struct Process {
    /// The container's id; `container_id` is empty in a list.
    #[prost(string, tag = "2")]
    pub id: String,
    #[prost(uint32, tag = "3")]
    pub pid: u32,
    #[prost(int32, tag = "4")]
    pub status: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct GotImage {
    #[prost(message, optional, tag = "1")]
    pub image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Image {
    #[prost(message, optional, tag = "3")]
    pub target: Option<Descriptor>,
    #[prost(message, optional, tag = "8")]
    pub updated_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Descriptor {
    #[prost(string, tag = "2")]
    pub digest: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Filters {
    #[prost(string, repeated, tag = "1")]
    pub filters: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Publish {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(message, optional, tag = "2")]
    pub event: Option<Any>,
}

/// An event: what it says is in `event`, by its topic.
#[derive(Clone, PartialEq, Message)]
pub struct Envelope {
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub topic: String,
    #[prost(message, optional, tag = "4")]
    pub event: Option<Any>,
}

/// The events `ContainerCreate` and `ContainerUpdate`.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerEvent {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub image: String,
}

/// The events `TaskCreate`, `TaskStart` and `TaskExit`, which all name the container first.
#[derive(Clone, PartialEq, Message)]
pub struct TaskEvent {
    #[prost(string, tag = "1")]
    pub container_id: String,
}

/// `TaskExit`: of the container's init process, or of one by exec.
#[derive(Clone, PartialEq, Message)]
pub struct TaskExit {
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// The container's id, or that of the exec.
    #[prost(string, tag = "2")]
    pub id: String,
}
