//! Docker, through its API: its containers, and what happens to them. The parts: where it answers
//! ([`address`]), its events, its words in ours, its runtimes.

pub mod address;
pub(super) mod connect;
mod context;
pub(super) mod describe;
pub(super) mod events;
pub(super) mod runtime;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::InspectContainerOptions;
use futures::StreamExt as _;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout};

use self::address::{Address, Settings};
pub use self::describe::ENGINE as NAME;
use self::describe::{ENGINE, Facts, Listed};
use self::events::Watch;
use super::http::{self, Place, TooLarge};
use super::{BoxFuture, ContainerInfo, Engine, EngineError, EngineEvent};
use crate::recording::Container;

/// How long Docker may take to accept a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(3);
/// How long it may take to answer.
pub(super) const CALL: Duration = Duration::from_secs(10);
/// How long one container of a list may take: Docker answers for one that hangs only when it is done.
pub(super) const INSPECT: Duration = Duration::from_secs(3);
/// How many images are remembered: more than a host runs at once.
const IMAGES: usize = 512;
/// How many containers are asked for at once.
pub(super) const AT_ONCE: usize = 8;

/// A Docker engine on this host.
pub struct Docker {
    api: Api,
    address: Address,
    facts: Arc<Facts>,
    runtimes: HashMap<String, runtime::Runtime>,
    /// The digests (`REPOSITORY@sha256:…`) of images by their ids, which never change what they name.
    images: Mutex<HashMap<String, Vec<String>>>,
}

/// An API that speaks Docker's words, and where it answers.
#[derive(Clone)]
pub(super) struct Api {
    pub client: bollard::Docker,
    pub place: Place,
}

impl Api {
    /// Connects to it, in the newest version that both know. Bounded in time.
    pub async fn connect(place: Place) -> Result<Self, Error> {
        let client = http::client(place.clone(), CALL.as_secs())?;
        let client = bounded(CALL, client.negotiate_version()).await?;
        Ok(Self { client, place })
    }

    /// The address of what bollard does not ask for, or takes without a bound.
    pub fn path(&self, path: &str) -> String {
        format!("/v{}/{path}", self.client.client_version())
    }
}

/// As [`Docker::connect`].
pub(super) async fn connect() -> Result<Arc<dyn Engine>, EngineError> {
    Ok(Arc::new(Docker::connect().await?))
}

impl Docker {
    /// Connects to the engine that the docker command line would talk to.
    ///
    /// Errors: no such context, an address on another host, nobody there, another kernel behind it.
    /// Bounded in time: 3 s for a connection, 10 s for an answer, 2 s for each runtime's version.
    pub async fn connect() -> Result<Self, EngineError> {
        Self::connect_at(Settings::of_process().address()?).await
    }

    /// Where it answers.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its version, as it says.
    pub fn version(&self) -> Option<&str> {
        self.facts.version.as_deref()
    }

    async fn list_all(&self) -> Result<Vec<ContainerInfo>, EngineError> {
        let path = self.api.path("containers/json?all=true");
        let all = bounded(CALL, http::list::<Listed>(&self.api.place, &path));
        let all = all.await.map_err(|error| fault(ENGINE, &self.address, &error))?;
        let deadline = Instant::now() + CALL;
        let infos = futures::stream::iter(all).map(|one| self.listed(one, deadline)).buffered(AT_ONCE);
        Ok(infos.filter_map(std::future::ready).collect().await)
    }

    /// One of the list; `None` where it has gone meanwhile. One that Docker can't tell more of is known
    /// by the list's entry: it must not hide the others.
    async fn listed(&self, listed: Listed, deadline: Instant) -> Option<ContainerInfo> {
        let limit = deadline.saturating_duration_since(Instant::now()).min(INSPECT);
        if limit.is_zero() {
            return self.facts.listed(listed);
        }
        match self.inspect_one(listed.id.as_deref()?, limit).await {
            Ok(info) => info,
            Err(error) => {
                log::warn!("container {:?}: {error}", listed.id);
                self.facts.listed(listed)
            }
        }
    }

    async fn inspect_one(&self, name: &str, limit: Duration) -> Result<Option<ContainerInfo>, EngineError> {
        // Docker names no container so; a slash would ask for something else.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        {
            return Ok(None);
        }
        let call = self.api.client.inspect_container(name, None::<InspectContainerOptions>);
        let inspected = match bounded(limit, call).await {
            Ok(inspected) => inspected,
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            Err(error) => return Err(fault(ENGINE, &self.address, &error)),
        };
        let Some(mut info) = self.facts.describe(inspected) else { return Ok(None) };
        let container = &mut info.container;
        if let Some((name, version)) = container.runtime.as_ref().and_then(|name| self.runtimes.get(name)) {
            (container.runtime, container.runtime_version) = (Some(name.clone()), version.clone());
        }
        if let Some(id) = container.image_digest.take() {
            let digests = self.digests(&id, limit).await;
            let image = container.image.as_deref().unwrap_or_default();
            container.image_digest = Some(describe::digest(image, &digests).unwrap_or(id));
        }
        Ok(Some(info))
    }

    /// The digests of an image; none where it was made here or is gone.
    async fn digests(&self, id: &str, limit: Duration) -> Vec<String> {
        if let Some(digests) = self.images.lock().await.get(id) {
            return digests.clone();
        }
        match bounded(limit, self.api.client.inspect_image(id)).await {
            Ok(image) => {
                let digests = image.repo_digests.unwrap_or_default();
                remember(&mut *self.images.lock().await, id, &digests);
                digests
            }
            Err(error) => {
                log::debug!("image {id:?}: {}", reason(&error));
                Vec::new()
            }
        }
    }
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        ENGINE
    }

    fn found(&self) -> String {
        format!("Docker {} at {}", self.version().unwrap_or("(of an unknown version)"), self.address)
    }

    fn restart(&self, container: &Container) -> Option<Vec<String>> {
        Some(["docker", "restart", &container.name].map(str::to_owned).into())
    }

    fn list(&self) -> BoxFuture<'_, Vec<ContainerInfo>> {
        Box::pin(self.list_all())
    }

    fn inspect<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<ContainerInfo>> {
        Box::pin(self.inspect_one(name.strip_prefix('/').unwrap_or(name), CALL))
    }

    fn watch(&self, events: UnboundedSender<EngineEvent>) -> BoxFuture<'_, ()> {
        let watch = Watch::new(self.api.clone(), Arc::clone(&self.facts), events);
        Box::pin(async move {
            // The stream itself says nothing before the first event.
            bounded(CALL, self.api.client.ping())
                .await
                .map_err(|error| fault(ENGINE, &self.address, &error))?;
            tokio::spawn(watch.run());
            Ok(())
        })
    }
}

/// Forgets everything where it would grow without end: what is in use is soon asked for again.
fn remember(images: &mut HashMap<String, Vec<String>>, id: &str, digests: &[String]) {
    if images.len() >= IMAGES {
        images.clear();
    }
    images.insert(id.to_owned(), digests.to_owned());
}

/// The call's answer, or an error where it takes longer.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, call).await.unwrap_or(Err(Error::RequestTimeoutError))
}

/// An error of an engine's API in our words.
pub(super) fn fault(engine: &'static str, address: &impl ToString, error: &Error) -> EngineError {
    let reason = reason(error);
    if TooLarge::of(error).is_some() {
        let reason = format!("{reason}; look what answers at {}", address.to_string());
        return EngineError::Refused { engine, reason };
    }
    match error {
        Error::RequestTimeoutError
        | Error::HyperLegacyError { .. }
        | Error::HyperResponseError { .. }
        | Error::IOError { .. } => EngineError::Unreachable { engine, address: address.to_string(), reason },
        _ => EngineError::Refused { engine, reason },
    }
}

/// What an error is about, without the layers above it.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::RequestTimeoutError => "no answer in time".to_owned(),
        error if let Some(found) = TooLarge::of(error) => found.to_string(),
        _ => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            cause.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_remembered_are_bounded() {
        let mut images = HashMap::new();
        for id in 0..3 * IMAGES {
            remember(&mut images, &id.to_string(), &["digest".to_owned()]);
            assert!(images.len() <= IMAGES && images.contains_key(&id.to_string()));
        }
    }
}
