//! Podman, through its API: it serves Docker's endpoints, of which the events and the version are taken ([`docker`]),
//! and its own (libpod), which alone tell runtimes and pods. Where no socket is up, a service of our own answers: the
//! podman command needs none, and all of them share one log of events. The parts: where it answers ([`address`]), our
//! own service, questions to libpod, its words in ours.

pub mod address;
mod cgroup;
mod connect;
mod describe;
mod libpod;
mod service;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;

use bollard::errors::Error;
use futures::StreamExt as _;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use self::describe::{Inspected, Listed};
use self::libpod::Libpod;
use self::service::Service;
use super::cgroup_path::{ContainerCgroup, is_id};
use super::docker::describe::Facts;
use super::docker::events::{Watch, event};
use super::docker::{AT_ONCE, Api, CALL, INSPECT, bounded, fault, reason, runtime};
use super::{BoxFuture, ContainerInfo, Engine, EngineError, EngineEvent};
use crate::recording::Container;

/// This engine's name.
pub const NAME: &str = "podman";

/// A Podman on this host.
pub struct Podman {
    api: Api,
    libpod: Libpod,
    place: Place,
    facts: Arc<Facts>,
    /// The files of the runtimes that it is configured with, by their names.
    paths: HashMap<String, String>,
    /// What those that were met are: asked once.
    runtimes: Mutex<HashMap<String, runtime::Runtime>>,
    /// Who is told of events; none before anybody watches.
    watching: StdMutex<Option<UnboundedSender<EngineEvent>>>,
}

/// Where it answers. Displays as an address, for people.
enum Place {
    Socket(PathBuf),
    Own(Service),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(formatter, "unix://{}", path.display()),
            Self::Own(_) => formatter.write_str("its own service"),
        }
    }
}

/// As [`Podman::connect`].
pub(super) async fn connect() -> Result<Arc<dyn Engine>, EngineError> {
    Ok(Arc::new(Podman::connect().await?))
}

impl Podman {
    async fn list_all(&self) -> Result<Vec<ContainerInfo>, EngineError> {
        let listed = bounded(CALL, self.libpod.list()).await.map_err(|error| self.fault(&error))?;
        let infos = futures::stream::iter(listed).map(|listed| self.listed(listed)).buffered(AT_ONCE);
        Ok(infos.filter_map(std::future::ready).collect().await)
    }

    /// One of the list; `None` where it has gone meanwhile. One that Podman can't tell more of (somebody holds its lock)
    /// is known by the list's entry: it must not hide the others.
    async fn listed(&self, listed: Listed) -> Option<ContainerInfo> {
        match bounded(INSPECT, self.libpod.inspect(&listed.id)).await {
            Ok(inspected) => Some(self.describe(inspected?, listed.pod_name).await),
            Err(error) => {
                log::warn!("container {:?}: {}", listed.id, reason(&error));
                Some(listed.describe(&self.facts))
            }
        }
    }

    async fn inspect_one(&self, name: &str) -> Result<Option<ContainerInfo>, EngineError> {
        // Podman names no container so; a slash would ask for something else.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        {
            return Ok(None);
        }
        let asked = bounded(CALL, async {
            let Some(inspected) = self.libpod.inspect(name).await? else { return Ok(None) };
            let pod = match inspected.is_in_pod() {
                true => self.libpod.pod_of(&inspected.id).await?,
                false => None,
            };
            Ok(Some((inspected, pod)))
        });
        match asked.await.map_err(|error| self.fault(&error))? {
            Some((inspected, pod)) => Ok(Some(self.describe(inspected, pod).await)),
            None => {
                self.tell_of_gone(name).await;
                Ok(None)
            }
        }
    }

    async fn describe(&self, inspected: Inspected, pod: Option<String>) -> ContainerInfo {
        let mut info = inspected.describe(&self.facts, pod);
        if let Some(name) = info.container.runtime.take() {
            let (name, version) = self.runtime(name).await;
            (info.container.runtime, info.container.runtime_version) = (Some(name), version);
        }
        info
    }

    /// What a runtime is that Podman calls by its name, or by its file.
    async fn runtime(&self, name: String) -> runtime::Runtime {
        let mut known = self.runtimes.lock().await;
        if let Some(runtime) = known.get(&name) {
            return runtime.clone();
        }
        let path = self.paths.get(&name).cloned().or_else(|| name.starts_with('/').then(|| name.clone()));
        let plain = name.rsplit('/').next().unwrap_or(&name);
        let paths = path.map(|path| (plain.to_owned(), path)).into_iter().collect();
        let runtime = runtime::identify(plain, &paths, &HashMap::new()).await;
        known.insert(name, runtime.clone());
        runtime
    }

    /// A container that is gone when it is asked for may have lived only for an instant. Podman's stream of events
    /// comes some 250 ms late (it polls its log), but the log itself has them: whoever watches hears the name before
    /// the answer that it is gone.
    async fn tell_of_gone(&self, id: &str) {
        let watching = self.watching.lock().map(|watching| watching.clone()).unwrap_or_default();
        let Some(watching) = watching.filter(|_| is_id(id)) else { return };
        match bounded(CALL, self.libpod.created(id)).await {
            Ok(messages) => {
                for event in messages.into_iter().filter_map(|message| event(&self.facts, message)) {
                    // A dropped receiver wants to know nothing more.
                    let _ = watching.send(event);
                }
            }
            Err(error) => log::warn!("the events of container {id}: {}", reason(&error)),
        }
    }

    fn fault(&self, error: &Error) -> EngineError {
        fault(NAME, &self.place, error)
    }
}

impl Engine for Podman {
    fn name(&self) -> &'static str {
        NAME
    }

    fn found(&self) -> String {
        let version = self.facts.version.as_deref().unwrap_or("(of an unknown version)");
        match &self.place {
            Place::Socket(_) => format!("Podman {version} at {}", self.place),
            Place::Own(_) => format!("Podman {version} by {}", self.place),
        }
    }

    fn container_of<'a>(&self, cgroup: &'a str) -> Option<ContainerCgroup<'a>> {
        cgroup::container(cgroup)
    }

    fn restart(&self, container: &Container) -> Option<Vec<String>> {
        Some(["podman", "restart", &container.name].map(str::to_owned).into())
    }

    fn list(&self) -> BoxFuture<'_, Vec<ContainerInfo>> {
        Box::pin(self.list_all())
    }

    fn inspect<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<ContainerInfo>> {
        Box::pin(self.inspect_one(name.strip_prefix('/').unwrap_or(name)))
    }

    fn watch(&self, events: UnboundedSender<EngineEvent>) -> BoxFuture<'_, ()> {
        if let Ok(mut watching) = self.watching.lock() {
            *watching = Some(events.clone());
        }
        let watch = Watch::new(self.api.clone(), Arc::clone(&self.facts), events);
        Box::pin(async move {
            // The stream itself says nothing before the first event.
            bounded(CALL, self.api.client.ping()).await.map_err(|error| self.fault(&error))?;
            tokio::spawn(watch.run());
            Ok(())
        })
    }
}
