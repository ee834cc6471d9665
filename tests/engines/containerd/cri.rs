//! Pods as a kubelet makes them: through the CRI API (kubernetes, `cri-api`, `runtime/v1/api.proto`), with its labels.
//! The messages are by hand, with the fields that are used.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use super::{Host, IMAGE};
use crate::container_matrix::command::until;
use crate::recorder::PATIENCE;

mod messages;
use messages::*;

/// A client of the CRI API.
pub struct Cri {
    address: String,
}

impl Cri {
    /// Of the containerd at this socket.
    pub fn new(address: String) -> Self {
        Self { address }
    }

    /// Whether it answers.
    pub fn version(&self) -> Result<()> {
        self.call::<_, Nothing>("Version", Nothing {}).map(drop)
    }

    /// On a thread of its own: the test's may be within a runtime.
    fn call<Q, A>(&self, method: &str, ask: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path: PathAndQuery = format!("/runtime.v1.RuntimeService/{method}").parse()?;
        let answer = async {
            let channel = Endpoint::from_shared(format!("unix://{}", self.address))?.connect().await?;
            let mut client = Grpc::new(channel);
            client.ready().await?;
            anyhow::Ok(client.unary(Request::new(ask), path, ProstCodec::<Q, A>::default()).await?)
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let answer = thread::scope(|scope| {
            let asked = scope.spawn(move || runtime.block_on(async { timeout(PATIENCE, answer).await }));
            asked.join()
        });
        let answer = answer.map_err(|_| anyhow!("{method}: it panicked"))?;
        Ok(answer.context("no answer")?.with_context(|| method.to_owned())?.into_inner())
    }
}

/// Under which filter a container starts.
#[derive(Clone, Copy)]
pub enum Seccomp<'a> {
    /// containerd's own profile.
    Default,
    /// None.
    Unconfined,
    /// A profile of ours: its path.
    Localhost(&'a str),
}

/// A pod, with its sandbox; removed when it goes out of scope.
pub struct Pod {
    cri: Cri,
    /// The id of its sandbox.
    pub sandbox: String,
    config: PodSandboxConfig,
}

impl Pod {
    /// Starts the sandbox of a pod, in the host's network.
    pub fn start(host: &Host, namespace: &str, name: &str) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let uid = format!("{:08x}-0000-4000-8000-{count:012x}", std::process::id());
        let metadata = PodSandboxMetadata {
            name: name.to_owned(),
            uid: uid.clone(),
            namespace: namespace.to_owned(),
            attempt: 0,
        };
        let labels = [
            ("io.kubernetes.pod.name", name),
            ("io.kubernetes.pod.namespace", namespace),
            ("io.kubernetes.pod.uid", &uid),
        ];
        let linux = LinuxPodSandboxConfig {
            cgroup_parent: format!("/kubepods/besteffort/pod{uid}"),
            security_context: Some(SandboxSecurity { namespace_options: Some(namespaces()) }),
        };
        let config = PodSandboxConfig {
            metadata: Some(metadata),
            log_directory: host.path(&format!("logs/{uid}")),
            labels: map(&labels),
            linux: Some(linux),
        };
        fs::create_dir_all(&config.log_directory)?;
        let cri = Cri::new(host.address());
        let ask = RunPodSandboxRequest { config: Some(config.clone()) };
        let sandbox: Id = cri.call("RunPodSandbox", ask)?;
        Ok(Self { cri, sandbox: sandbox.id, config })
    }

    /// Starts a shell in a container of the pod, with further labels, and gives its id.
    pub fn run(
        &self,
        name: &str,
        script: &str,
        seccomp: Seccomp<'_>,
        further: &[(&str, &str)],
    ) -> Result<String> {
        let mut labels = self.config.labels.clone();
        labels.extend(map(&[("io.kubernetes.container.name", name)]));
        labels.extend(map(further));
        let (profile_type, path) = match seccomp {
            Seccomp::Default => (0, ""),
            Seccomp::Unconfined => (1, ""),
            Seccomp::Localhost(path) => (2, path),
        };
        let security = ContainerSecurity {
            namespace_options: Some(namespaces()),
            seccomp: Some(SecurityProfile { profile_type, localhost_ref: path.to_owned() }),
        };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: 0 }),
            image: Some(ImageSpec { image: IMAGE.to_owned() }),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            labels,
            log_path: log_path(name),
            linux: Some(LinuxContainerConfig { security_context: Some(security) }),
        };
        let ask = CreateContainerRequest {
            pod_sandbox_id: self.sandbox.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        let created: Id = self.cri.call("CreateContainer", ask)?;
        let _: Nothing = self.cri.call("StartContainer", Id { id: created.id.clone() })?;
        Ok(created.id)
    }

    /// What the container has written; the log has a time, a stream and a tag before each line.
    pub fn log(&self, name: &str) -> String {
        let log = fs::read_to_string(format!("{}/{}", self.config.log_directory, log_path(name)));
        let lines = log.unwrap_or_default();
        lines.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect::<Vec<_>>().join("\n")
    }

    /// Waits until the container has written this line.
    pub fn until_said(&self, name: &str, line: &str) -> Result<()> {
        until(PATIENCE, line, || Ok(self.log(name).lines().any(|said| said == line).then_some(())))
    }

    /// Waits for the container's end, and fails where the exit code is another one than 0.
    pub fn ends_well(&self, id: &str) -> Result<()> {
        let ended = until(PATIENCE, "a container's end", || {
            let got: ContainerStatusResponse = self.cri.call("ContainerStatus", Id { id: id.to_owned() })?;
            Ok(got.status.filter(|status| status.state == EXITED))
        })?;
        ensure!(ended.exit_code == 0, "{id} ends with {}: {}", ended.exit_code, ended.message);
        Ok(())
    }

    /// Runs a program in the container, and gives what it printed.
    pub fn exec(&self, id: &str, command: &[&str]) -> Result<String> {
        let cmd = command.iter().map(|&word| word.to_owned()).collect();
        let ask = ExecSyncRequest { container_id: id.to_owned(), cmd, timeout: 20 };
        let done: ExecSyncResponse = self.cri.call("ExecSync", ask)?;
        let stderr = String::from_utf8_lossy(&done.stderr);
        ensure!(done.exit_code == 0, "{command:?} ends with {}: {stderr}", done.exit_code);
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Ends a container at once.
    pub fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        let timeout = i64::try_from(grace.as_secs())?;
        let ask = StopContainerRequest { container_id: id.to_owned(), timeout };
        self.cri.call::<_, Nothing>("StopContainer", ask).map(drop)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            self.cri.call::<_, Nothing>(method, Id { id: self.sandbox.clone() }).ok();
        }
        // A kubelet made the pod's cgroup, and removes it.
        let parent = self.config.linux.iter().map(|linux| linux.cgroup_parent.as_str()).collect::<String>();
        super::remove_cgroup(&parent);
    }
}

/// Of a container of any name.
fn log_path(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).take(100).chain(".log".chars()).collect()
}

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The host's network, as there is none of pods; processes of the container's own; IPC of the pod's.
fn namespaces() -> NamespaceOption {
    NamespaceOption { network: 2, pid: 1, ipc: 0 }
}
