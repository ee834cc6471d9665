//! Where Docker answers: `DOCKER_HOST`, then a context, then the default socket, as the docker command
//! line does it (github.com/docker/cli, cli/command/cli.go, `resolveContextName`). Only this host's
//! engine can be traced, so only its addresses are taken.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::context;
use crate::engine::EngineError;

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
const DEFAULT_PORT: u16 = 2375;

/// An address on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port on loopback: host and port.
    Tcp(String, u16),
}

impl Default for Address {
    fn default() -> Self {
        Self::Unix(DEFAULT_SOCKET.into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(formatter, "tcp://[{host}]:{port}"),
            Self::Tcp(host, port) => write!(formatter, "tcp://{host}:{port}"),
        }
    }
}

/// What an address is made from.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `DOCKER_HOST`, unless empty.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`, unless empty.
    pub context: Option<String>,
    /// `DOCKER_TLS_VERIFY` or `DOCKER_TLS` is set.
    pub tls: bool,
    /// Where `config.json` and the contexts may be; the first that has either counts.
    pub folders: Vec<PathBuf>,
}

impl Settings {
    /// This process's: its environment, its home, and under sudo the home of the user who typed it.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let folders = match variable("DOCKER_CONFIG") {
            Some(folder) => vec![PathBuf::from(folder)],
            None => homes().into_iter().map(|home| home.join(".docker")).collect(),
        };
        Self {
            host: variable("DOCKER_HOST"),
            context: variable("DOCKER_CONTEXT"),
            tls: variable("DOCKER_TLS_VERIFY").or(variable("DOCKER_TLS")).is_some(),
            folders,
        }
    }

    /// The address to ask. An error says which setting can't be used, and what to do.
    pub fn address(&self) -> Result<Address, EngineError> {
        if let Some(host) = &self.host {
            return parse(host, self.tls, "DOCKER_HOST");
        }
        match context::current(self)? {
            Some(found) => parse(&found.host, found.tls, &found.origin),
            None => Ok(Address::default()),
        }
    }
}

fn homes() -> Vec<PathBuf> {
    let own = std::env::var_os("HOME").map(PathBuf::from);
    let sudo = std::env::var_os("SUDO_USER").and_then(|name| uzers::get_user_by_name(&name));
    let sudo = sudo.map(|user| uzers::os::unix::UserExt::home_dir(&user).to_path_buf());
    own.into_iter().chain(sudo).filter(|home| home.is_absolute()).collect()
}

/// Reads an address; `origin` says in an error where it stands.
fn parse(host: &str, tls: bool, origin: &str) -> Result<Address, EngineError> {
    let error = |why: &str| {
        Err(EngineError::Address(format!("the Docker address {host:?} ({origin}) can't be used: {why}")))
    };
    let elsewhere = "seccomp-trace has to run on the engine's own host, whose kernel it traces";
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    match scheme {
        "unix" if rest.is_empty() => Ok(Address::default()),
        "unix" if Path::new(rest).is_absolute() => Ok(Address::Unix(rest.into())),
        "unix" => error("a socket's path begins with /"),
        "https" => error("TLS is not supported; use the engine's Unix socket"),
        "ssh" => error(elsewhere),
        "tcp" | "http" if tls => error("TLS is not supported; use the engine's Unix socket"),
        "tcp" | "http" => match host_and_port(rest) {
            Some((name, port)) if is_loopback(&name) => Ok(Address::Tcp(name, port)),
            Some(_) => error(elsewhere),
            None => error("it should be tcp://HOST:PORT or unix:///PATH"),
        },
        _ => error("it should be unix:///PATH, or tcp://HOST:PORT on this host"),
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let text = text.trim_end_matches('/');
    if text.contains('/') {
        return None;
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None if port.is_empty() => DEFAULT_PORT,
        None => return None,
    };
    // What docker takes for a missing host.
    Some((if host.is_empty() { "127.0.0.1" } else { host }.to_owned(), port))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests;
