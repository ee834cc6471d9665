//! Container engines: which containers there are, and what their names are. One file an engine,
//! behind [`Engine`]; beside them the pure parts: which containers are meant ([`select`]), what a
//! cgroup's path says ([`cgroup_path`]), which runtimes hide their calls ([`sandbox`]).
//! Nothing here touches the kernel program or prints.

pub mod cgroup_path;
pub mod containerd;
pub mod docker;
mod http;
mod outage;
pub mod podman;
pub mod sandbox;
pub mod select;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use self::cgroup_path::ContainerCgroup;
use crate::recording::Container;

/// Finds an engine on this host. Bounded in time by itself.
///
/// Errors: [`EngineError::Absent`] where there is none, any other where it is there and can't be used.
pub type Connect = fn() -> BoxFuture<'static, Arc<dyn Engine>>;

/// Every engine, by the name that `--engine` takes.
pub const ENGINES: &[(&str, Connect)] = &[
    (docker::NAME, || Box::pin(docker::connect())),
    (podman::NAME, || Box::pin(podman::connect())),
    (containerd::NAME, || Box::pin(containerd::connect())),
];

/// What an engine says of a container now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerInfo {
    /// What goes into the recording.
    pub container: Container,
    /// The init process as the host sees it; none where the container does not run.
    pub pid: Option<i32>,
    /// A pod's pause container: left out unless it is named by its id.
    pub is_sandbox: bool,
    /// Its engine could not say all that it knows: it is to be asked again.
    pub is_partial: bool,
}

/// What happens to a container, as its engine tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineEvent {
    /// A container was made, or is about to start: all that the event itself says of it.
    Created(Box<Container>),
    /// It has a new name.
    Renamed {
        /// The whole id.
        id: String,
        /// The new name.
        name: String,
    },
    /// Its init process runs (or is about to: the engine's news come some milliseconds late).
    Started {
        /// The whole id.
        id: String,
    },
    /// Its init process has ended; it may be started again.
    Stopped {
        /// The whole id.
        id: String,
    },
    /// It is gone for good.
    Removed {
        /// The whole id.
        id: String,
    },
    /// The engine does not answer any more; it is asked again until it does.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// The engine answers again. What happened meanwhile may be missing: list the containers again.
    Reconnected,
}

/// A future that borrows its engine.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// One container engine. Every call is bounded in time by the engine itself.
pub trait Engine: Send + Sync {
    /// The engine's name, as `--engine` takes it.
    fn name(&self) -> &'static str;
    /// What was found, for people: `Docker 20.10.24 at unix:///var/run/docker.sock`.
    fn found(&self) -> String;
    /// The container whose cgroup a path is, or lies below, by this engine's way to name cgroups. Whether there is
    /// such a container is for [`Engine::inspect`] to say: its `id` is asked for.
    fn container_of<'a>(&self, cgroup: &'a str) -> Option<ContainerCgroup<'a>> {
        cgroup_path::container(cgroup)
    }
    /// The command that starts a container anew, which runs already; none where that is somebody else's work.
    fn restart(&self, container: &Container) -> Option<Vec<String>>;
    /// All containers, running or not.
    fn list(&self) -> BoxFuture<'_, Vec<ContainerInfo>>;
    /// One container by name, id or the beginning of its id; `None` where there is none.
    fn inspect<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<ContainerInfo>>;
    /// Sends what happens from now on until the receiver is dropped: nothing after the call is missed
    /// as long as the engine answers. Must be called within a tokio runtime, which does the work.
    ///
    /// Unbounded, because an engine drops the events of a subscriber that is slow to read.
    fn watch(&self, events: UnboundedSender<EngineEvent>) -> BoxFuture<'_, ()>;
}

/// Why an engine could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It is not on this host, or does not run.
    #[error("{engine} is not here: {reason}")]
    Absent {
        /// The engine's name.
        engine: &'static str,
        /// How that shows, and what to do.
        reason: String,
    },
    /// Nobody answers at the engine's address.
    #[error("{engine} does not answer at {address}: {reason}")]
    Unreachable {
        /// The engine's name.
        engine: &'static str,
        /// Where it was asked.
        address: String,
        /// Why.
        reason: String,
    },
    /// The address can't be used.
    #[error("{0}")]
    Address(String),
    /// The engine answered with an error.
    #[error("{engine}: {reason}")]
    Refused {
        /// The engine's name.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
}
