//! Connecting to Podman: where it answers, is it this host's kernel, what is true of all its containers.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::address::Settings;
use super::libpod::Libpod;
use super::service::Service;
use super::{NAME, Place, Podman};
use crate::engine::EngineError;
use crate::engine::docker::connect::same_kernel;
use crate::engine::docker::describe::Facts;
use crate::engine::docker::{Api, CALL, CONNECT, bounded, fault};
use crate::engine::http;

/// What Podman puts beside the labels into an event (containers/podman, pkg/domain/entities/events.go).
const ATTRIBUTES: &[&str] = &["podId", "containerExitCode", "exitCode"];

impl Podman {
    /// Connects to the socket that `CONTAINER_HOST` names, else to root's, else to the user's, else to a service that is
    /// started for it and ends with it.
    ///
    /// Errors: no such program, nobody there, an address on another host, another kernel behind it.
    /// Bounded in time: 3 s for a connection, 10 s for an answer.
    pub async fn connect() -> Result<Self, EngineError> {
        Self::connect_with(&Settings::of_process()).await
    }

    /// As [`Podman::connect`], by these settings.
    pub async fn connect_with(settings: &Settings) -> Result<Self, EngineError> {
        if let Some(path) = settings.named()? {
            return match probe(&path).await {
                Ok(true) => Self::connect_at(Place::Socket(path)).await,
                Ok(false) => Err(EngineError::Absent {
                    engine: NAME,
                    reason: format!(
                        "nobody listens at {} (CONTAINER_HOST); unset it, or start it with: systemctl start podman.socket",
                        path.display()
                    ),
                }),
                Err(reason) => Err(unreachable(&path, reason)),
            };
        }
        for path in &settings.sockets {
            match probe(path).await {
                Ok(true) => return Self::connect_at(Place::Socket(path.clone())).await,
                Ok(false) => {}
                Err(reason) => return Err(unreachable(path, reason)),
            }
        }
        Self::connect_at(Place::Own(Service::start().await?)).await
    }

    async fn connect_at(place: Place) -> Result<Self, EngineError> {
        let fault = |error| fault(NAME, &place, &error);
        let socket = match &place {
            Place::Socket(path) => path.clone(),
            Place::Own(service) => service.socket(),
        };
        let docker_api = Api::connect(http::Place::Unix(socket.clone())).await.map_err(fault)?;
        let client = &docker_api.client;
        let (version, info) = bounded(CALL, async { tokio::try_join!(client.version(), client.info()) })
            .await
            .map_err(fault)?;
        let (kernel, system) = (info.kernel_version.as_deref(), info.operating_system.as_deref());
        same_kernel("Podman", &place, kernel, system)?;

        let runtimes = info.runtimes.into_iter().flatten();
        // The first of the places where it may be; where that is not the one, its name finds it.
        let file = |name: &str, path: Option<String>| match path {
            Some(path) if Path::new(&path).exists() => path,
            _ => name.to_owned(),
        };
        let paths = runtimes.map(|(name, runtime)| (name.clone(), file(&name, runtime.path))).collect();
        let component = version.components.into_iter().flatten().next();
        let api = component.and_then(|component| component.details?.remove("APIVersion"));
        let default_runtime = info.default_runtime.filter(|name| !name.is_empty());
        let facts = Facts { engine: NAME, attributes: ATTRIBUTES, version: version.version, default_runtime };
        Ok(Self {
            api: docker_api,
            libpod: Libpod::new(socket, api),
            place,
            facts: Arc::new(facts),
            paths,
            runtimes: Default::default(),
            watching: Default::default(),
        })
    }
}

/// Whether anybody listens there. An error says what else is wrong.
async fn probe(path: &PathBuf) -> Result<bool, String> {
    match timeout(CONNECT, UnixStream::connect(path)).await {
        Ok(Ok(_)) => Ok(true),
        // A service that has ended leaves its socket behind.
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            Ok(false)
        }
        Ok(Err(error)) if error.kind() == ErrorKind::PermissionDenied => {
            Err("permission denied: run as root".to_owned())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it accepts no connection within {} s", CONNECT.as_secs())),
    }
}

fn unreachable(path: &Path, reason: String) -> EngineError {
    EngineError::Unreachable { engine: NAME, address: format!("unix://{}", path.display()), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("podman.sock");
        let settings = Settings { host: Some(format!("unix://{}", path.display())), ..Settings::default() };
        for _ in 0..2 {
            let error = Podman::connect_with(&settings).await.err().unwrap();
            assert!(matches!(&error, EngineError::Absent { .. }), "{error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            // What a service that has ended leaves behind.
            drop(std::os::unix::net::UnixListener::bind(&path));
        }
    }
}
