//! containerd, through its gRPC API: its containers in all namespaces, among them a kubelet's pods (`k8s.io`), and what
//! happens to them. Docker's namespace is Docker's. The parts: where it answers, its messages and calls, what there is
//! ([`ask`]), its events, its words in ours, its cgroups.

mod address;
mod api;
mod ask;
mod cgroups;
mod client;
mod describe;
mod events;

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use self::ask::Asked;
use self::cgroups::Namespaces;
use self::client::Client;
use self::events::Watch;
use super::cgroup_path::ContainerCgroup;
use super::{BoxFuture, ContainerInfo, Engine, EngineError, EngineEvent};
use crate::recording::Container;

/// This engine's name.
pub const NAME: &str = "containerd";

/// A containerd on this host.
#[derive(Debug)]
pub struct Containerd {
    asked: Arc<Asked>,
}

/// As [`Containerd::connect`].
pub(super) async fn connect() -> Result<Arc<dyn Engine>, EngineError> {
    Ok(Arc::new(Containerd::connect().await?))
}

impl Containerd {
    /// Connects to the containerd at `CONTAINERD_ADDRESS`, or else at the first well-known socket that is there.
    ///
    /// Errors: no such socket, an address on another host, nobody there.
    /// Bounded in time: 3 s for a connection, 10 s for an answer.
    pub async fn connect() -> Result<Self, EngineError> {
        let given = std::env::var("CONTAINERD_ADDRESS").ok();
        Self::connect_at(given.as_deref()).await
    }

    /// Connects to the one at this address, as [`Containerd::connect`] otherwise.
    pub async fn connect_at(address: Option<&str>) -> Result<Self, EngineError> {
        let client = Client::connect(address::socket(address)?).await?;
        let answer: api::Version = client.call("default", api::VERSION, api::Empty {}).await?;
        // Its releases call themselves v1.7.2.
        let version = answer.version.strip_prefix('v').unwrap_or(&answer.version);
        let version = Some(version.to_owned()).filter(|version| !version.is_empty());
        let namespaces = Namespaces::of(client.address());
        let (runtimes, gone) = (Mutex::default(), Mutex::default());
        let asked = Asked { client, version, namespaces, runtimes, gone };
        asked.namespaces().await?;
        Ok(Self { asked: Arc::new(asked) })
    }
}

impl Engine for Containerd {
    fn name(&self) -> &'static str {
        NAME
    }

    fn found(&self) -> String {
        let version = self.asked.version.as_deref().unwrap_or("(of an unknown version)");
        format!("containerd {version} at {}", self.asked.client.address().display())
    }

    fn container_of<'a>(&self, cgroup: &'a str) -> Option<ContainerCgroup<'a>> {
        self.asked.namespaces.container_of(cgroup)
    }

    /// A pod's container is made anew by its controller; others have no one command that would.
    /// A pod's controller makes another pod in its place.
    fn restart(&self, container: &Container) -> Option<Vec<String>> {
        let pod = container.pod.as_ref()?;
        let namespace = pod.namespace.as_deref().unwrap_or("default");
        Some(["kubectl", "delete", "pod", "--namespace", namespace, &pod.name].map(str::to_owned).into())
    }

    fn list(&self) -> BoxFuture<'_, Vec<ContainerInfo>> {
        Box::pin(self.asked.list())
    }

    fn inspect<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<ContainerInfo>> {
        Box::pin(self.asked.inspect(name))
    }

    fn watch(&self, events: UnboundedSender<EngineEvent>) -> BoxFuture<'_, ()> {
        let watch = Watch::new(Arc::clone(&self.asked), events);
        Box::pin(async move {
            let stream = events::first(&self.asked).await?;
            tokio::spawn(watch.run(stream));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("containerd.sock");
        let error = async || Containerd::connect_at(path.to_str()).await.unwrap_err();
        let missing = error().await;
        assert!(matches!(missing, EngineError::Absent { .. }), "{missing}");
        assert!(missing.to_string().contains(path.to_str().unwrap()), "{missing}");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(error().await.to_string().contains("connection refused"));
    }
}
