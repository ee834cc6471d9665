//! Where Podman answers: `CONTAINER_HOST`, as its remote client takes it, or one of the sockets that its systemd units
//! make (podman-system-service(1)). Only this host's Podman can be traced, so only Unix sockets are taken.

use std::path::{Path, PathBuf};

use crate::engine::EngineError;

const ROOT_SOCKET: &str = "/run/podman/podman.sock";
/// Below a user's runtime folder.
const USER_SOCKET: &str = "podman/podman.sock";

/// What an address is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `CONTAINER_HOST`, unless empty.
    pub host: Option<String>,
    /// Where else a socket may be; the first at which somebody answers counts.
    pub sockets: Vec<PathBuf>,
}

impl Settings {
    /// This process's: its environment, root's socket, its user's, and under sudo that of the user who typed it.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let own = variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let sudo = variable("SUDO_UID").and_then(|uid| uid.parse::<u32>().ok());
        let sudo = sudo.map(|uid| PathBuf::from(format!("/run/user/{uid}")));
        let users = own.into_iter().chain(sudo).map(|folder| folder.join(USER_SOCKET));
        Self {
            host: variable("CONTAINER_HOST"),
            sockets: std::iter::once(ROOT_SOCKET.into()).chain(users).collect(),
        }
    }

    /// The socket that `CONTAINER_HOST` names. An error says why it can't be used, and what to do.
    pub fn named(&self) -> Result<Option<PathBuf>, EngineError> {
        let Some(host) = &self.host else { return Ok(None) };
        let error = |why: &str| {
            Err(EngineError::Address(format!(
                "the Podman address {host:?} (CONTAINER_HOST) can't be used: {why}"
            )))
        };
        match host.split_once("://") {
            Some(("unix", path)) if Path::new(path).is_absolute() => Ok(Some(path.into())),
            Some(("unix", _)) => error("a socket's path begins with /"),
            Some(("ssh" | "tcp", _)) => error(
                "only Unix sockets are taken; seccomp-trace has to run on the engine's own host, whose kernel it traces",
            ),
            _ => error("it should be unix:///PATH"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(host: &str) -> Result<Option<PathBuf>, String> {
        let settings = Settings { host: Some(host.to_owned()), ..Settings::default() };
        settings.named().map_err(|error| error.to_string())
    }

    #[test]
    fn only_unix_sockets_are_taken() {
        assert_eq!(named("unix:///run/p.sock"), Ok(Some("/run/p.sock".into())));
        assert_eq!(Settings::default().named().unwrap(), None);
        for host in ["ssh://root@build/run/podman/podman.sock", "tcp://127.0.0.1:8080"] {
            let error = named(host).unwrap_err();
            assert!(error.contains(host) && error.contains("the engine's own host"), "{error}");
        }
        for host in ["unix://p.sock", "unix://", "/run/podman/podman.sock", "fd://"] {
            assert!(named(host).unwrap_err().contains("(CONTAINER_HOST) can't be used: "), "{host}");
        }
    }

    #[test]
    fn roots_socket_comes_first() {
        assert_eq!(
            Settings::of_process().sockets.first().map(PathBuf::as_path),
            Some(Path::new(ROOT_SOCKET))
        );
    }
}
