//! A Podman of the test's own: its storage, its configuration and its log of events are in one folder, and go with it.
//! `seccomp-trace record` finds it by the same variables as the podman command does.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::container_matrix::command::{self, until};
use crate::recorder::{IMAGE, PATIENCE, Recorder, busybox};
use crate::support;

/// What crun is started by: it loads a program for devices where cgroup v2 is alone, and raises a limit first, which a
/// root without CAP_SYS_RESOURCE can't.
const WRAPPER: &str = "#!/bin/sh
bundle=
previous=
for argument; do
    case $previous in -b|--bundle) bundle=$argument;; esac
    previous=$argument
done
[ -z \"$bundle\" ] || sed -i 's/\"devices\":\\[{\"allow\":false,\"access\":\"rwm\"}\\]/\"devices\":[]/' \"$bundle/config.json\"
exec CRUN \"$@\"
";

/// A Podman, and all its containers. They are removed with it.
pub struct Podman {
    folder: TempDir,
    runtime: &'static str,
}

impl Podman {
    /// With `runc` or `crun`, and the tests' image.
    pub fn with(runtime: &'static str) -> Result<Self> {
        Self::configured(runtime, "")
    }

    /// With more lines in `[engine]` of its configuration.
    pub fn configured(runtime: &'static str, engine: &str) -> Result<Self> {
        // The sockets in it have paths of no more than 108 bytes.
        let folder = tempfile::Builder::new().prefix("st-podman.").tempdir_in("/tmp")?;
        let podman = Self { folder, runtime };
        let place = podman.folder.path().display();
        fs::write(
            podman.path("storage.conf"),
            format!("[storage]\ndriver=\"vfs\"\ngraphroot=\"{place}/graph\"\nrunroot=\"{place}/run\"\n"),
        )?;
        let crun = wrapper()?;
        // No limits: a root without CAP_SYS_RESOURCE can't raise one, and beside cgroup v1 there is no controller.
        fs::write(
            podman.path("containers.conf"),
            format!(
                "[containers]\ndefault_ulimits=[]\npids_limit=0\nlog_driver=\"k8s-file\"\n[engine]\n{engine}\n\
                 cgroup_manager=\"cgroupfs\"\nevents_logger=\"file\"\nlock_type=\"file\"\nruntime=\"{runtime}\"\n\
                 tmp_dir=\"{place}/tmp\"\nstatic_dir=\"{place}/graph/libpod\"\n[engine.runtimes]\ncrun=[\"{}\"]\n",
                crun.display()
            ),
        )?;
        podman.run(&["import", &archive()?.display().to_string(), IMAGE])?;
        Ok(podman)
    }

    /// What makes it the one that is meant.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let path = |name| self.path(name).display().to_string();
        vec![("CONTAINERS_CONF", path("containers.conf")), ("CONTAINERS_STORAGE_CONF", path("storage.conf"))]
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its own command line, with these arguments. Crun is asked where cgroup v2 alone is mounted: it refuses both side
    /// by side.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.runtime {
            "crun" => {
                let script = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", "podman"]);
                command
            }
            _ => Command::new("podman"),
        };
        command.args(arguments).envs(self.variables()).env_remove("CONTAINER_HOST");
        command
    }

    /// Runs it to its end, and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        command::output(&mut self.command(arguments), PATIENCE)
    }

    /// Starts a shell with this script in a container of this name, and returns when it runs.
    pub fn start(&self, name: &str, options: &[&str], script: &str) -> Result<()> {
        let run = ["run", "--detach", "--network", "none", "--name", name];
        self.run(&[&run, options, &[IMAGE, "sh", "-c", script]].concat()).map(drop)
    }

    /// Waits until a container's script has written this line.
    pub fn until_said(&self, name: &str, line: &str) -> Result<()> {
        until(PATIENCE, line, || {
            Ok(self.run(&["logs", name])?.lines().any(|said| said == line).then_some(()))
        })
    }

    /// Waits for a container's end, and fails where the exit code is another one than 0.
    pub fn ends_well(&self, name: &str) -> Result<()> {
        let code = self.run(&["wait", name])?;
        ensure!(code.trim() == "0", "{name}: {code}{}", self.run(&["logs", name])?);
        Ok(())
    }

    /// `seccomp-trace record` of its containers, by a service that it starts itself.
    pub fn record(&self, arguments: &[&str]) -> Result<Recorder> {
        self.record_with(arguments, &[])
    }

    /// The same, with more variables.
    pub fn record_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Result<Recorder> {
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Recorder::start_with(&[&["--engine", "podman"], arguments].concat(), &[&variables[..], more].concat())
    }

    /// The same, and returns once it is ready.
    pub fn ready(&self, arguments: &[&str]) -> Result<Recorder> {
        let mut recorder = self.record(arguments)?;
        recorder.until_said("note: ready")?;
        Ok(recorder)
    }

    /// Starts a service at a socket in its folder, as systemd does it for a user.
    pub fn serve(&self) -> Result<Served> {
        let socket = self.path("podman.sock");
        let uri = format!("unix://{}", socket.display());
        let mut command = Command::new("podman");
        command.args(["system", "service", "--time=0", &uri]).envs(self.variables());
        let log = File::create(self.path("log"))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut served = Served { child, socket };
        until(PATIENCE, "podman's socket", || {
            let has_ended = served.child.try_wait()?.is_some();
            ensure!(!has_ended, "it has ended: {}", fs::read_to_string(self.path("log"))?);
            Ok(std::os::unix::net::UnixStream::connect(&served.socket).ok())
        })?;
        Ok(served)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.run(&["pod", "rm", "--all", "--force", "--time=0"]).ok();
        self.run(&["rm", "--all", "--force", "--time=0"]).ok();
    }
}

/// A service that runs until the value goes.
pub struct Served {
    child: Child,
    /// Where it answers.
    pub socket: PathBuf,
}

impl Served {
    /// As `CONTAINER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        support::signal(Pid::from_child(&self.child), signal).context("the service is gone")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The image's archive, of the machine's own busybox.
fn archive() -> Result<&'static Path> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let make = || {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("podman-image.tar");
        let folder = support::temp_dir()?;
        busybox(folder.path())?;
        // As another user, and as hooks, the tests go in and write there.
        fs::create_dir(folder.path().join("tmp"))?;
        fs::set_permissions(folder.path().join("tmp"), fs::Permissions::from_mode(0o1777))?;
        let mut tar = Command::new("tar");
        tar.arg("--create").arg("--file").arg(&path).arg("-C").arg(folder.path()).args(["bin", "tmp"]);
        command::output(&mut tar, PATIENCE)?;
        Ok(path)
    };
    let made = MADE.get_or_init(|| make().map_err(|error: anyhow::Error| format!("{error:#}")));
    made.as_deref().map_err(|error| anyhow::anyhow!(error.clone()))
}

/// Where only root can write, so that its version is asked for. Written where it is not there yet: the kernel starts no
/// file that somebody writes.
fn wrapper() -> Result<PathBuf> {
    static LOCK: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("podman-runtimes");
    let crun = support::find_program("crun").unwrap_or_else(|| "crun".into());
    let (path, script) = (folder.join("crun"), WRAPPER.replace("CRUN", &crun.display().to_string()));
    if fs::read_to_string(&path).is_ok_and(|there| there == script) {
        return Ok(path);
    }
    fs::create_dir_all(&folder)?;
    let file = tempfile::NamedTempFile::new_in(&folder)?.into_temp_path();
    fs::write(&file, script)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    file.persist(&path)?;
    Ok(path)
}
