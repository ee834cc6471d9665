//! Docker's contexts: `currentContext` in `config.json`, and what `docker context create` wrote in
//! `contexts/meta/*/meta.json` (docs.docker.com/engine/manage-resources/contexts).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::address::Settings;
use crate::engine::EngineError;

/// The context that stands for `DOCKER_HOST` or the default socket.
const DEFAULT: &str = "default";
/// Far above what docker writes; root reads these from other users' homes.
const LARGEST: u64 = 1 << 20;

/// A context's address.
pub(super) struct Endpoint {
    /// `unix:///…`, `ssh://…`
    pub host: String,
    /// Whether it has certificates.
    pub tls: bool,
    /// Where it stands, for errors.
    pub origin: String,
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext", default)]
    current_context: String,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Endpoints", default)]
    endpoints: BTreeMap<String, Host>,
}

#[derive(Deserialize)]
struct Host {
    #[serde(rename = "Host", default)]
    host: String,
}

/// The endpoint of the context in use; `None` where that is the default one.
pub(super) fn current(settings: &Settings) -> Result<Option<Endpoint>, EngineError> {
    let has_any = |folder: &&std::path::PathBuf| {
        folder.join("config.json").exists() || folder.join("contexts").exists()
    };
    let folder = settings.folders.iter().find(has_any);
    let (name, origin) = match (&settings.context, folder) {
        (Some(name), _) => (name.clone(), "DOCKER_CONTEXT".to_owned()),
        (None, Some(folder)) => {
            let file = folder.join("config.json");
            (current_context(&file)?, file.display().to_string())
        }
        (None, None) => return Ok(None),
    };
    if name.is_empty() || name == DEFAULT {
        return Ok(None);
    }
    let mut contexts = folder.map_or_else(BTreeMap::new, |folder| endpoints(folder));
    if let Some(endpoint) = contexts.remove(&name) {
        return Ok(Some(endpoint));
    }
    let known: Vec<_> = std::iter::once(DEFAULT).chain(contexts.keys().map(String::as_str)).collect();
    Err(EngineError::Address(format!(
        "there is no Docker context {name:?} ({origin}); known: {}",
        known.join(", ")
    )))
}

fn current_context(file: &Path) -> Result<String, EngineError> {
    match read::<Config>(file) {
        Ok(config) => Ok(config.current_context),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(EngineError::Address(format!("can't read {}: {error}", file.display()))),
    }
}

/// All contexts by name. The folders' names are hashes of the contexts' names; reading all of them
/// saves the hash, and names those that there are.
fn endpoints(folder: &Path) -> BTreeMap<String, Endpoint> {
    let contexts = folder.join("contexts");
    let entries = std::fs::read_dir(contexts.join("meta")).into_iter().flatten().flatten();
    let endpoint = |entry: std::fs::DirEntry| {
        // One that is broken is nobody's current context, or is reported as missing.
        let mut meta: Meta = read(&entry.path().join("meta.json")).ok()?;
        let host = meta.endpoints.remove("docker").map(|endpoint| endpoint.host).unwrap_or_default();
        let tls = contexts.join("tls").join(entry.file_name()).join("docker").exists();
        let origin = format!("the context {:?}", meta.name);
        // A context without an address is the default socket.
        let host = if host.is_empty() { "unix://".to_owned() } else { host };
        Some((meta.name, Endpoint { host, tls, origin }))
    };
    entries.filter_map(endpoint).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    // Opening a FIFO would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut text = String::new();
    File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}
