//! Questions to Podman's own API (docs.podman.io, libpod), which is HTTP on its socket: each a connection of its own, as
//! they are few. Unbounded in time: a caller that gives up drops them.

use std::path::PathBuf;

use bollard::errors::Error;
use bollard::models::EventMessage;
use bytes::Bytes;

use super::describe::{Inspected, Listed};
use crate::engine::http::{self, LARGEST, Place};

/// Understood since Podman 4.0.
const DEFAULT_VERSION: &str = "4.0.0";

/// Podman's own API.
pub(super) struct Libpod {
    place: Place,
    version: String,
}

impl Libpod {
    /// At this socket, in this version of the API.
    pub fn new(socket: PathBuf, version: Option<String>) -> Self {
        let is_plain = |text: &String| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        let version = version.map(|version| version.split('-').next().unwrap_or_default().to_owned());
        Self {
            place: Place::Unix(socket),
            version: version.filter(is_plain).unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
        }
    }

    /// Does anybody answer?
    pub async fn ping(&self) -> Result<(), Error> {
        match self.get("_ping").await {
            // Also an error of its own is an answer.
            Ok(_) | Err(Error::DockerResponseServerError { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All containers, running or not.
    pub async fn list(&self) -> Result<Vec<Listed>, Error> {
        http::list(&self.place, &self.path("containers/json?all=true")).await
    }

    /// One container; `None` where there is none. The name is one of [`super::Podman::inspect_one`]'s.
    pub async fn inspect(&self, name: &str) -> Result<Option<Inspected>, Error> {
        match self.get(&format!("containers/{name}/json")).await {
            Ok(body) => Ok(Some(serde_json::from_slice(&body)?)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The name of a container's pod.
    pub async fn pod_of(&self, id: &str) -> Result<Option<String>, Error> {
        let path = format!("containers/json?all=true&filters=%7B%22id%22%3A%5B%22{id}%22%5D%7D");
        let listed: Vec<Listed> = serde_json::from_slice(&self.get(&path).await?)?;
        Ok(listed.into_iter().find(|listed| listed.id == id).and_then(|listed| listed.pod_name))
    }

    /// The event of a container's making, out of the log; none where the log has forgotten it.
    pub async fn created(&self, id: &str) -> Result<Vec<EventMessage>, Error> {
        let filters = format!("%7B%22container%22%3A%5B%22{id}%22%5D%2C%22event%22%3A%5B%22create%22%5D%7D");
        // Without the beginning of time, Podman tells nothing that was before.
        let body = self.get(&format!("events?stream=false&since=1&filters={filters}")).await?;
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
    }

    async fn get(&self, path: &str) -> Result<Bytes, Error> {
        http::get(&self.place, &self.path(path), LARGEST).await
    }

    fn path(&self, path: &str) -> String {
        format!("/v{}/libpod/{path}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_can_stand_in_a_path() {
        let of = |text: &str| Libpod::new(PathBuf::new(), Some(text.to_owned())).version;
        assert_eq!(of("5.4.2"), "5.4.2");
        assert_eq!(of("5.0.0-dev"), "5.0.0");
        for text in ["", "../x", "4 3", "x"] {
            assert_eq!(of(text), DEFAULT_VERSION);
        }
    }
}
