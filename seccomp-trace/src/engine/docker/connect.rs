//! Connecting to Docker: is anybody there, is it this host's kernel, what is true of all its containers.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::address::Address;
use super::describe::{ENGINE, Facts};
use super::{Api, CALL, CONNECT, Docker, bounded, fault, runtime};
use crate::engine::EngineError;
use crate::engine::http::Place;
use crate::inspect::host::is_in_container;

impl Docker {
    /// Connects to the engine at this address; as [`Docker::connect`] otherwise.
    pub async fn connect_at(address: Address) -> Result<Self, EngineError> {
        probe(&address).await?;
        let fault = |error| fault(ENGINE, &address, &error);
        let place = match &address {
            Address::Unix(path) => Place::Unix(path.clone()),
            Address::Tcp(host, port) => Place::Tcp(host.clone(), *port),
        };
        let api = Api::connect(place).await.map_err(fault)?;
        let client = &api.client;
        let (version, info) = bounded(CALL, async { tokio::try_join!(client.version(), client.info()) })
            .await
            .map_err(fault)?;
        same_kernel("Docker", &address, info.kernel_version.as_deref(), info.operating_system.as_deref())?;

        let facts = Facts {
            engine: ENGINE,
            attributes: &[],
            version: version.version,
            default_runtime: info.default_runtime.filter(|name| !name.is_empty()),
        };
        let versions = version.components.into_iter().flatten();
        let versions = versions.map(|component| (component.name, component.version)).collect();
        let paths = info.runtimes.into_iter().flatten();
        let paths: HashMap<_, _> =
            paths.map(|(name, runtime)| (name, runtime.path.unwrap_or_default())).collect();
        let names =
            paths.keys().chain(facts.default_runtime.iter().filter(|name| !paths.contains_key(*name)));
        let mut runtimes = HashMap::new();
        for name in names {
            runtimes.insert(name.clone(), runtime::identify(name, &paths, &versions).await);
        }
        Ok(Self { api, address, facts: Arc::new(facts), runtimes, images: Mutex::default() })
    }
}

/// Whether anybody listens there: the system's own errors say why not better than HTTP's do.
async fn probe(address: &Address) -> Result<(), EngineError> {
    let connected = match address {
        Address::Unix(path) => {
            timeout(CONNECT, UnixStream::connect(path)).await.map(|result| result.map(drop))
        }
        Address::Tcp(host, port) => {
            timeout(CONNECT, TcpStream::connect((host.as_str(), *port))).await.map(|result| result.map(drop))
        }
    };
    let start = if is_in_container() {
        "mount it into this container: --volume=/var/run/docker.sock:/var/run/docker.sock"
    } else {
        "is Docker running? Start it with: systemctl start docker"
    };
    let reason = match connected {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => match error.kind() {
            std::io::ErrorKind::PermissionDenied => "permission denied: run as root".to_owned(),
            // A stopped daemon leaves its socket behind.
            std::io::ErrorKind::ConnectionRefused => {
                return Err(EngineError::Absent {
                    engine: ENGINE,
                    reason: format!("{address}: connection refused; {start}"),
                });
            }
            std::io::ErrorKind::NotFound => {
                return Err(EngineError::Absent {
                    engine: ENGINE,
                    reason: format!("{address}: no such socket; {start}"),
                });
            }
            _ => error.to_string(),
        },
        Err(_) => format!("it accepts no connection within {} s", CONNECT.as_secs()),
    };
    Err(EngineError::Unreachable { engine: ENGINE, address: address.to_string(), reason })
}

/// Desktops and tunnels bring a socket to this host, but not the kernel behind it.
pub(in crate::engine) fn same_kernel(
    engine: &str,
    address: &impl Display,
    kernel: Option<&str>,
    system: Option<&str>,
) -> Result<(), EngineError> {
    let own = rustix::system::uname();
    let own = own.release().to_string_lossy();
    match kernel {
        Some(kernel) if !kernel.is_empty() && kernel != own => Err(EngineError::Address(format!(
            "{engine} at {address} runs on another kernel ({kernel}, {}) than this host's ({own}); \
             run seccomp-trace where the engine runs",
            system.unwrap_or("unknown system")
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let of = |path: &std::path::Path| Docker::connect_at(Address::Unix(path.to_path_buf()));
        let missing = of(&path).await.err().unwrap().to_string();
        assert!(missing.contains(&path.display().to_string()) && missing.contains("systemctl start docker"));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(of(&path).await.err().unwrap().to_string().contains("connection refused"));
    }

    #[test]
    fn another_kernel_is_refused() {
        let address = Address::default();
        let error =
            same_kernel("Docker", &address, Some("5.15.0-linuxkit"), Some("Docker Desktop")).unwrap_err();
        assert!(error.to_string().contains("linuxkit, Docker Desktop"));
        assert!(same_kernel("Docker", &address, None, None).is_ok());
    }
}
