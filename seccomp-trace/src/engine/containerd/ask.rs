//! What there is: containers by all their names, in all namespaces but Docker's.

use std::collections::{BTreeSet, HashMap};

use futures::StreamExt as _;
use tokio::sync::Mutex;

use super::NAME;
use super::api::{self, ById, Empty};
use super::cgroups::{DOCKERS, Namespaces};
use super::client::Client;
use super::describe;
use crate::engine::cgroup_path::is_id;
use crate::engine::docker::runtime::{self, Runtime};
use crate::engine::select::SHORTEST_ID;
use crate::engine::{ContainerInfo, EngineError};

/// How many containers are asked for at once.
const AT_ONCE: usize = 8;

/// A containerd, and what is known of it.
#[derive(Debug)]
pub(super) struct Asked {
    pub client: Client,
    pub version: Option<String>,
    pub namespaces: Namespaces,
    /// What the runtimes are, by their programs' names.
    pub runtimes: Mutex<HashMap<String, Runtime>>,
    /// Containers with whole ids that were made, and gone before they could be asked for: nobody can name them.
    pub gone: Mutex<BTreeSet<String>>,
}

impl Asked {
    /// All namespaces but Docker's.
    pub async fn namespaces(&self) -> Result<Vec<String>, EngineError> {
        let answer: api::Namespaces = self.client.call("default", api::NAMESPACES, Empty {}).await?;
        let names = answer.namespaces.into_iter().map(|namespace| namespace.name);
        let names: Vec<_> = names.filter(|name| name != DOCKERS).collect();
        self.namespaces.add(names.iter().cloned());
        Ok(names)
    }

    /// All containers.
    pub async fn list(&self) -> Result<Vec<ContainerInfo>, EngineError> {
        let mut all = Vec::new();
        for namespace in self.namespaces().await? {
            let records: Vec<api::Got> = self.client.all(&namespace, api::CONTAINERS, Empty {}).await?;
            // After the containers: of one that starts meanwhile there is a task, too.
            let tasks: api::Tasks = self.client.call(&namespace, api::TASKS, Empty {}).await?;
            let tasks: HashMap<_, _> = tasks.tasks.into_iter().map(|task| (task.id.clone(), task)).collect();
            let infos = records.into_iter().filter_map(|got| got.container).map(|record| {
                let task = tasks.get(&record.id);
                self.described(&namespace, record, task)
            });
            let infos = futures::stream::iter(infos).buffered(AT_ONCE);
            all.extend(infos.collect::<Vec<_>>().await);
        }
        Ok(all)
    }

    /// One by any of its names: `NAMESPACE/ID`, a whole id, a name, or the beginning of an id that no other has.
    pub async fn inspect(&self, name: &str) -> Result<Option<ContainerInfo>, EngineError> {
        if let Some((namespace, id)) = name.split_once('/') {
            return self.inspect_in(namespace, id).await;
        }
        if is_id(name) {
            for namespace in self.namespaces().await? {
                if let Some(info) = self.inspect_in(&namespace, name).await? {
                    return Ok(Some(info));
                }
            }
            if self.gone.lock().await.contains(name) {
                let reason = format!("{name} was removed before it could be asked for");
                return Err(EngineError::Refused { engine: NAME, reason });
            }
            return Ok(None);
        }
        let mut all = self.list().await?;
        if let Some(index) = all.iter().position(|info| info.container.name == name) {
            return Ok(Some(all.swap_remove(index)));
        }
        all.retain(|info| {
            let id = &info.container.id;
            // Other ids are names, which nobody shortens.
            is_id(id) && name.len() >= SHORTEST_ID && id.starts_with(name)
        });
        Ok(all.pop().filter(|_| all.is_empty()))
    }

    /// One by its id in its namespace.
    async fn inspect_in(&self, namespace: &str, id: &str) -> Result<Option<ContainerInfo>, EngineError> {
        let Some(record) = self.record(namespace, id).await? else { return Ok(None) };
        let ask = ById { id: id.to_owned() };
        // Of a shim that hangs containerd knows nothing after 2 s, and says so.
        let task: Option<api::GotTask> = self.client.find(namespace, api::TASK, ask).await?;
        let task = task.and_then(|got| got.process);
        Ok(Some(self.described(namespace, record, task.as_ref()).await))
    }

    /// The same, but for its process.
    pub async fn made(&self, namespace: &str, id: &str) -> Result<Option<ContainerInfo>, EngineError> {
        let Some(record) = self.record(namespace, id).await? else { return Ok(None) };
        Ok(Some(self.described(namespace, record, None).await))
    }

    async fn record(&self, namespace: &str, id: &str) -> Result<Option<api::Container>, EngineError> {
        // containerd names nothing else so (identifiers/validate.go), and what it does not take is no error here.
        let is_name = |text: &str| {
            let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !text.is_empty() && text.bytes().all(is_ours)
        };
        if namespace == DOCKERS || !is_name(namespace) || !is_name(id) {
            return Ok(None);
        }
        let ask = ById { id: id.to_owned() };
        let got: Option<api::Got> = self.client.find(namespace, api::CONTAINER, ask).await?;
        Ok(got.and_then(|got| got.container))
    }

    /// What is missing is missing: it must not hide the container.
    async fn described(
        &self,
        namespace: &str,
        record: api::Container,
        task: Option<&api::Process>,
    ) -> ContainerInfo {
        let runtime = self.runtime(record.runtime.as_ref()).await;
        let digest = self.digest(namespace, &record).await;
        let mut info = describe::describe(self.version.as_deref(), namespace, record, task);
        info.container.image_digest = digest;
        if let Some((name, version)) = runtime {
            (info.container.runtime, info.container.runtime_version) = (Some(name), version);
        }
        info
    }

    async fn runtime(&self, runtime: Option<&api::Runtime>) -> Option<Runtime> {
        let runtime = runtime?;
        let program = describe::program(runtime)?;
        let mut known = self.runtimes.lock().await;
        if let Some(known) = known.get(&program) {
            return Some(known.clone());
        }
        let paths = HashMap::from([(runtime.name.clone(), program.clone())]);
        let mut found = runtime::identify(&runtime.name, &paths, &HashMap::new()).await;
        if found.1.is_none() {
            // Not by its shim, which is the same for each that understands runc's options.
            found.0 = program.rsplit('/').next().unwrap_or(&program).to_owned();
        }
        known.insert(program, found.clone());
        Some(found)
    }

    async fn digest(&self, namespace: &str, record: &api::Container) -> Option<String> {
        let name = record.image.clone();
        if name.is_empty() {
            return None;
        }
        match self.client.find::<_, api::GotImage>(namespace, api::IMAGE, ById { id: name }).await {
            Ok(got) => describe::digest(got?.image?, record),
            Err(error) => {
                log::debug!("image {:?}: {error}", record.image);
                None
            }
        }
    }
}
