//! A containerd of a test's own: its files in one folder, its CRI plugin as a kubelet would use it, and one image.
//! Everything is gone when the value is.

pub mod cri;
pub mod expect;
mod image;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

pub use self::image::IMAGE;
use crate::container_matrix::command::{self, until};
use crate::container_matrix::container::unused_name;
use crate::recorder::{PATIENCE, Recorder};
use crate::support;

/// Takes the limits out of the bundle: for that of devices crun needs CAP_SYS_RESOURCE, for the others the controllers
/// of cgroup v2, which v1 may have.
const WRAPPER: &str = r#"#!/bin/sh
bundle=
previous=
for argument; do
    [ "$previous" = --bundle ] && bundle=$argument
    previous=$argument
done
[ -z "$bundle" ] || sed -i -E 's/"devices":\[\{"allow"[^]]*\],?//; s/"(memory|cpu)":\{[^}]*\},?//g' \
    "$bundle/config.json"
exec CRUN "$@"
"#;

/// A running containerd.
pub struct Host {
    containerd: Child,
    /// A namespace of its own: a container's cgroup is `/NAMESPACE/ID`, and several tests run at a time.
    pub namespace: String,
    folder: TempDir,
    alone: bool,
}

impl Host {
    /// Starts it with runc.
    pub fn start() -> Result<Self> {
        Self::in_folder(folder()?, &find("runc")?, false)
    }

    /// Starts it with crun, which refuses both versions of cgroups side by side: with v2 alone.
    pub fn under_crun() -> Result<Self> {
        let folder = folder()?;
        let wrapper = folder.path().join("crun");
        fs::write(&wrapper, WRAPPER.replace("CRUN", &find("crun")?))?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
        Self::in_folder(folder, &wrapper.display().to_string(), true)
    }

    fn in_folder(folder: TempDir, runtime: &str, alone: bool) -> Result<Self> {
        fs::write(folder.path().join("config.toml"), configuration(folder.path(), runtime))?;
        let containerd = spawn(folder.path(), alone)?;
        let mut host = Self { containerd, namespace: unused_name("ns"), folder, alone };
        host.until_it_answers()?;
        image::make(host.folder.path(), &host.path("image.tar"))?;
        for namespace in ["default", "k8s.io", "moby", &host.namespace] {
            host.import(namespace)?;
        }
        Ok(host)
    }

    /// The image, in a namespace.
    pub fn import(&self, namespace: &str) -> Result<()> {
        let archive = self.path("image.tar");
        let import = ["--namespace", namespace, "images", "import", "--snapshotter", "native", &archive];
        self.ctr(&import).map(drop)
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        self.path("containerd.sock")
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// containerd's own command line; in the test's own namespace, unless it says another one.
    pub fn ctr(&self, arguments: &[&str]) -> Result<String> {
        let mut ctr = Command::new(find("ctr")?);
        ctr.args(["--address", &self.address(), "--namespace", &self.namespace]).args(arguments);
        command::output(ctr.env("CONTAINERD_SNAPSHOTTER", "native"), PATIENCE)
    }

    /// Runs a shell in a container to its end, in the tests' own namespace, and gives what it printed.
    pub fn run(&self, options: &[&str], id: &str, script: &str) -> Result<String> {
        self.run_in(&self.namespace, options, id, script)
    }

    /// As [`Host::run`], in a namespace.
    pub fn run_in(&self, namespace: &str, options: &[&str], id: &str, script: &str) -> Result<String> {
        let fifos = self.path("fifos");
        let run = ["--namespace", namespace, "run", "--fifo-dir", &fifos];
        self.ctr(&[&run[..], options, &[IMAGE, id, "sh", "-c", script]].concat())
    }

    /// `seccomp-trace record` of this engine, ready.
    pub fn recorder(&self, arguments: &[&str]) -> Result<Recorder> {
        let mut recorder = self.recorder_started(arguments)?;
        recorder.until_said("note: ready")?;
        Ok(recorder)
    }

    /// `seccomp-trace record` of this engine.
    pub fn recorder_started(&self, arguments: &[&str]) -> Result<Recorder> {
        let arguments = [&["--engine", "containerd"], arguments].concat();
        Recorder::start_with(&arguments, &[("CONTAINERD_ADDRESS", &self.address())])
    }

    /// Ends containerd alone: what runs in containers runs on.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        command::wait(&mut self.containerd, PATIENCE).map(drop)
    }

    /// Starts it again after [`Host::stop`].
    pub fn start_again(&mut self) -> Result<()> {
        self.containerd = spawn(self.folder.path(), self.alone)?;
        self.until_it_answers()
    }

    /// Sends containerd a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        support::signal(Pid::from_child(&self.containerd), signal).context("containerd is gone")
    }

    /// Until its CRI plugin answers, which is its last.
    fn until_it_answers(&mut self) -> Result<()> {
        let cri = cri::Cri::new(self.address());
        until(PATIENCE, "containerd", || {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            ensure!(self.containerd.try_wait()?.is_none(), "containerd has ended: {}", log());
            Ok(cri.version().ok())
        })
        .map(drop)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.signal(Signal::CONT).ok();
        let namespaces = self.ctr(&["namespaces", "list", "--quiet"]).unwrap_or_default();
        for namespace in namespaces.lines() {
            let ctr = |arguments: &[&str]| self.ctr(&[&["--namespace", namespace], arguments].concat());
            for task in ctr(&["tasks", "list", "--quiet"]).unwrap_or_default().lines() {
                ctr(&["tasks", "delete", "--force", task]).ok();
            }
            for container in ctr(&["containers", "list", "--quiet"]).unwrap_or_default().lines() {
                ctr(&["containers", "delete", container]).ok();
            }
        }
        self.stop().ok();
        for namespace in namespaces.lines() {
            remove_cgroup(&format!("/{namespace}"));
        }
    }
}

/// Removes a folder of cgroups in all hierarchies, where nothing is left in it: runtimes leave it.
fn remove_cgroup(path: &str) {
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        fs::remove_dir(format!("{}{path}", hierarchy.path().display())).ok();
    }
}

fn folder() -> Result<TempDir> {
    // A socket's path has no more than 108 bytes.
    Ok(tempfile::Builder::new().prefix("st-containerd.").tempdir_in("/tmp")?)
}

/// A program's path, which containerd wants whole.
fn find(program: &str) -> Result<String> {
    let path = support::find_program(program).with_context(|| format!("there is no {program}"))?;
    Ok(path.display().to_string())
}

/// The tracing profile, in a file.
pub fn tracing_profile(host: &Host) -> Result<PathBuf> {
    let path = PathBuf::from(host.path("tracing.json"));
    fs::write(&path, command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    Ok(path)
}

fn spawn(folder: &Path, alone: bool) -> Result<Child> {
    let log = File::options().append(true).create(true).open(folder.join("log"))?;
    let mut containerd = Command::new(find("containerd")?);
    if alone {
        containerd = Command::new(find("unshare")?);
        let script = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
        containerd.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
        containerd.arg(find("containerd")?);
    }
    containerd
        .arg("--config")
        .arg(folder.join("config.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("containerd can't be started")
}

/// As little as a root without CAP_SYS_RESOURCE, without a network of pods, and without a registry can do with.
fn configuration(folder: &Path, runtime: &str) -> String {
    let (folder, pause) = (folder.display(), image::PAUSE);
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    format!(
        r#"version = 2
root = "{folder}/root"
state = "{folder}"
[grpc]
address = "{folder}/containerd.sock"
[ttrpc]
address = "{folder}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[{cri}]
restrict_oom_score_adj = true
sandbox_image = "{pause}"
[{cri}.containerd]
snapshotter = "native"
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
BinaryName = "{runtime}"
"#
    )
}
