//! A Docker of the test's own, beside the host's, which has runtimes that the host's has not: one that is named
//! like a sandbox, and one under which privileged containers start where capabilities are missing.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use seccomp_trace::recording::{BoundaryMethod, Lost, Origin};
use tempfile::TempDir;

use crate::container_matrix::command::{self, until};
use crate::container_matrix::container::unused_name;
use crate::recorder::{Container, PATIENCE, Recorder, docker, ensure_calls, image};
use crate::steps::{OUTSIDE, Place, outside};
use crate::support::{self, Need, Trial};

/// Takes out of the bundle, and of what `docker exec` asks for, what a root without CAP_SYS_RESOURCE can't give.
const WRAPPER: &str = "#!/bin/sh
previous=
for argument; do
    case $previous in
    --bundle) file=$argument/config.json ;;
    --process) file=$argument ;;
    *) file= ;;
    esac
    [ -z \"$file\" ] || sed -i 's/\"CAP_SYS_RESOURCE\",//g' \"$file\"
    previous=$argument
done
exec runc \"$@\"
";

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Docker, Need::Runc, Need::Busybox];
    let with_steps = &[Need::Kernel, Need::Docker, Need::Runc, Need::Busybox, Need::Cc];
    vec![
        support::test("record_beside_a_second_docker_that_is_restarted", needs, || {
            let mut engine = Engine::start()?;
            sandboxed(&engine)?;
            privileged(&engine)?;
            restarted(&mut engine)
        }),
        support::test("record_follows_who_was_brought_in_privileged_and_leaves", with_steps, brought_in),
    ]
}

/// A running dockerd with all its files in one folder.
pub struct Engine {
    dockerd: Child,
    folder: TempDir,
    /// As `DOCKER_HOST` names it.
    pub host: String,
    /// The program that starts it.
    launcher: Vec<String>,
}

impl Engine {
    /// Starts it, and gives it an image.
    fn start() -> Result<Self> {
        Self::start_with(&[], WRAPPER, image()?)
    }

    /// Starts it by another program, with a wrapper of runc, the runtime `stripped`.
    pub fn start_with(launcher: &[&str], wrapper_script: &str, image: &str) -> Result<Self> {
        // A socket's path has no more than 108 bytes.
        let folder = tempfile::Builder::new().prefix("st-docker.").tempdir_in("/tmp")?;
        let at = |name: &str| format!("{}/{name}", folder.path().display());
        let (host, wrapper) = (format!("unix://{}", at("docker.sock")), at("wrapper"));
        fs::write(&wrapper, wrapper_script)?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
        // The host's own configuration is not for it.
        fs::write(at("config.json"), "{}")?;
        let launcher: Vec<_> = launcher.iter().map(|word| (*word).to_owned()).collect();
        let dockerd = Self::spawn(&launcher, folder.path(), &host)?;
        let mut engine = Self { dockerd, folder, host, launcher };
        engine.until_it_answers()?;
        let archive = format!("{}/image.tar", engine.folder.path().display());
        docker(&["save", "--output", &archive, image])?;
        engine.docker(&["load", "--input", &archive])?;
        Ok(engine)
    }

    fn spawn(launcher: &[String], folder: &Path, host: &str) -> Result<Child> {
        let at = |name: &str| format!("{}/{name}", folder.display());
        let (wrapper, runc) = (at("wrapper"), find("runc")?);
        let log = File::create(at("log"))?;
        // In a network of its own: with --bridge=none a daemon removes the bridge of the host's own Docker.
        let words: Vec<_> = launcher.iter().map(String::as_str).chain(["unshare", "--net"]).collect();
        Command::new(find(words[0])?)
            .args(&words[1..])
            .arg(find("dockerd")?)
            .args(["--host", host, "--data-root", &at("data"), "--exec-root", &at("exec")])
            .args(["--pidfile", &at("pid"), "--config-file", &at("config.json")])
            .args(["--bridge=none", "--iptables=false", "--storage-driver=vfs"])
            .args([
                "--add-runtime",
                &format!("runsc={runc}"),
                "--add-runtime",
                &format!("stripped={wrapper}"),
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("dockerd can't be started")
    }

    fn until_it_answers(&mut self) -> Result<()> {
        until(PATIENCE, "the second Docker", || {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            ensure!(self.dockerd.try_wait()?.is_none(), "dockerd has ended: {}", log());
            Ok(self.docker(&["version"]).is_ok().then_some(()))
        })
    }

    fn restart(&mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.dockerd), Signal::TERM)?;
        command::wait(&mut self.dockerd, PATIENCE)?;
        self.dockerd = Self::spawn(&self.launcher, self.folder.path(), &self.host)?;
        self.until_it_answers()
    }

    /// Its command line.
    pub fn docker(&self, arguments: &[&str]) -> Result<String> {
        command::output(support::docker().args(["--host", &self.host]).args(arguments), PATIENCE)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Ok(all) = self.docker(&["ps", "--all", "--quiet"]) {
            let all: Vec<_> = all.split_whitespace().collect();
            self.docker(&[&["rm", "--force"], &all[..]].concat()).ok();
        }
        kill_process(Pid::from_child(&self.dockerd), Signal::TERM).ok();
        command::wait(&mut self.dockerd, PATIENCE).ok();
    }
}

fn find(program: &str) -> Result<String> {
    let path = support::find_program(program).with_context(|| format!("there is no {program}"))?;
    Ok(path.display().to_string())
}

/// One asked for by its name is trouble; of all, it is left out, and said so.
fn sandboxed(engine: &Engine) -> Result<()> {
    let name = unused_name("sandboxed");
    let variables = [("DOCKER_HOST", engine.host.as_str())];
    let run = ["run", "--detach", "--network", "none", "--runtime", "runsc", "--name", &name, image()?];
    engine.docker(&[&run[..], &["sh", "-c", "while :; do sleep 0.05; done"]].concat())?;
    let arguments = ["--container", &name, "-o", "{}/profile.json", "--", "touch", "{}/started.json"];
    let mut recorder = Recorder::start_with(&arguments, &variables)?;
    recorder.ends_with(125)?;
    recorder.ensure_said(&name)?;
    recorder.ensure_said("runs in gVisor")?;
    ensure!(recorder.written()?.is_empty(), "{:?}", recorder.written());
    engine.docker(&["rm", "--force", &name]).map(drop)
}

/// It has no filter whatever the profile, so its boundary is estimated.
fn privileged(engine: &Engine) -> Result<()> {
    let name = unused_name("privileged");
    let arguments = ["--wait", "--container", &name, "--recording", "{}/recording.json"];
    let mut recorder = Recorder::start_with(&arguments, &[("DOCKER_HOST", &engine.host)])?;
    recorder.until_said("note: ready")?;
    let options = ["--privileged", "--network", "none", "--runtime", "stripped", "--name", &name];
    engine.docker(&[&["run"], &options[..], &[image()?, "sh", "-c", "mkdir /x"]].concat())?;
    engine.docker(&["rm", &name])?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    ensure!(recording.boundary.method == BoundaryMethod::Estimated, "{:?}", recording.boundary);
    let of_the_runtime = ["mount", "pivot_root", "keyctl", "capset", "setgroups"];
    ensure_calls(&recording, Origin::Application, &["mkdir", "exit_group"], &of_the_runtime)
}

/// By `docker exec --privileged`, so it mounts the hierarchy itself.
fn brought_in() -> Result<()> {
    let (engine, place, container) = (Engine::start()?, Place::new()?, Container::named("brought-in"));
    let arguments = ["--wait", "--container", &container.name, "--recording", "{}/r.json"];
    let mut recorder = Recorder::start_with(&arguments, &[("DOCKER_HOST", &engine.host)])?;
    recorder.until_said("note: ready")?;
    let options = ["--runtime", "stripped", "--security-opt", "seccomp={}/tracing.json"];
    let words = place.words(&container, &options, "say up until /s/go")?;
    engine.docker(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    let logs = ["logs", container.name.as_str()];
    until(PATIENCE, "up", || Ok(engine.docker(&logs)?.contains("up").then_some(())))?;
    let exec = format!("exec --privileged {} /s/steps mount /m move /m {}", container.name, outside(""));
    engine.docker(&exec.split_whitespace().collect::<Vec<_>>())?;
    place.say("go")?;
    engine.docker(&["wait", &container.name])?;
    engine.docker(&["rm", &container.name])?;
    recorder.ends_with(0)?;
    recorder.ensure_said("processes of it left its cgroup (1: steps)")?;
    let recording = recorder.recording("r.json")?;
    ensure!(recording.lost == Lost::default(), "{:?}", recording.lost);
    ensure_calls(&recording, Origin::Application, &[], &OUTSIDE)?;
    ensure_calls(&recording, Origin::Joined, &[&OUTSIDE[..], &["mount"]].concat(), &[])
}

/// What runs is recorded on while nobody can be asked, and what starts afterwards has its name.
fn restarted(engine: &mut Engine) -> Result<()> {
    let prefix = unused_name("restarted");
    let glob = format!("{prefix}-*");
    let variables = [("DOCKER_HOST", engine.host.clone())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut recorder = Recorder::start_with(&["--container", &glob, "--recording-dir", "{}"], &variables)?;
    recorder.until_said("note: ready")?;
    let run = |engine: &Engine, name: &str, script: &str| {
        let name = format!("{prefix}-{name}");
        engine.docker(&[
            "run",
            "--detach",
            "--network",
            "none",
            "--name",
            &name,
            image()?,
            "sh",
            "-c",
            script,
        ])
    };
    run(engine, "before", "trap 'mkdir /x; exit' TERM; while :; do sleep 0.05; done")?;
    engine.restart()?;
    recorder.until_said("tracing continues")?;
    run(engine, "after", "mkdir /x")?;
    engine.docker(&["wait", &format!("{prefix}-after")])?;
    recorder.until_said("reconnected to docker")?;
    recorder.interrupt()?;
    for name in ["before", "after"] {
        let recording = recorder.recording(&format!("{prefix}-{name}.recording.json"))?;
        ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
        ensure_calls(&recording, Origin::Application, &["mkdir"], &["mount"])?;
    }
    Ok(())
}
