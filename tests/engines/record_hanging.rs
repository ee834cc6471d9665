//! An engine that is slow, or that says nothing any more and keeps its connections open.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::process::Signal;
use seccomp_trace::engine::docker::address::{Address, Settings};
use seccomp_trace::recording::Origin;
use tempfile::TempDir;

use crate::container_matrix::command::until;
use crate::podman::Podman;
use crate::recorder::{Container, PATIENCE, Recorder, docker, ensure_calls, image};
use crate::support::{self, Need, Trial};

/// Long enough for a command of Docker's.
const SLOW: Duration = Duration::from_secs(2);
const BOTH: &[Need] = &[Need::Kernel, Need::Docker, Need::Podman, Need::Runc, Need::Busybox];
const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_all_of_an_engine_that_hangs", NEEDS, all),
        support::test("record_by_name_of_an_engine_that_hangs", NEEDS, by_name),
        support::exclusive("record_podmans_beside_a_docker_that_hangs", BOTH, beside),
        support::test("record_one_that_is_renamed_while_its_engine_lists", NEEDS, renamed),
        support::test("record_a_late_one_with_a_new_cgroup_inside", NEEDS, new_cgroup_inside),
        support::test("record_is_interrupted_while_its_engine_hangs_at_the_start", NEEDS, at_the_start),
    ]
}

/// What the proxy's threads know.
struct Shared {
    target: PathBuf,
    /// From this request on it hangs.
    hangs_at: Option<&'static str>,
    hangs: AtomicBool,
    /// An answer with this text is passed on only after some time.
    slow: Mutex<String>,
    is_over: AtomicBool,
}

/// A socket that passes everything on to Docker's, until it hangs.
struct Proxy {
    shared: Arc<Shared>,
    folder: TempDir,
}

impl Proxy {
    fn start(hangs_at: Option<&'static str>) -> Result<Self> {
        let Address::Unix(target) = Settings::of_process().address()? else { bail!("not a Unix socket") };
        let folder = tempfile::Builder::new().prefix("st-proxy.").tempdir_in("/tmp")?;
        let listener = UnixListener::bind(folder.path().join("docker.sock"))?;
        let (hangs, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let slow = Mutex::default();
        let shared = Arc::new(Shared { target, hangs_at, hangs, slow, is_over });
        let proxy = Self { shared: Arc::clone(&shared), folder };
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(far) = UnixStream::connect(&shared.target) else { return };
                for (from, to, is_request) in [(&near, &far, true), (&far, &near, false)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || shared.pass(from, to, is_request));
                }
            }
        });
        Ok(proxy)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn hang(&self) {
        self.shared.hangs.store(true, Ordering::SeqCst);
    }

    /// From now on an answer with this text takes its time.
    fn slow_down(&self, text: &str) {
        if let Ok(mut slow) = self.shared.slow.lock() {
            text.clone_into(&mut slow);
        }
    }

    fn until_it_hangs(&self) -> Result<()> {
        until(PATIENCE, "a request", || Ok(self.shared.hangs.load(Ordering::SeqCst).then_some(())))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // The thread that accepts looks.
        UnixStream::connect(self.socket()).ok();
    }
}

impl Shared {
    fn pass(&self, mut from: UnixStream, mut to: UnixStream, is_request: bool) {
        let mut bytes = [0; 65536];
        from.set_read_timeout(Some(Duration::from_millis(50))).ok();
        while !self.is_over.load(Ordering::SeqCst) {
            let count = match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    continue;
                }
                Err(_) => break,
            };
            let text = String::from_utf8_lossy(&bytes[..count]);
            if is_request && self.hangs_at.is_some_and(|request| text.contains(request)) {
                self.hangs.store(true, Ordering::SeqCst);
            }
            let slow = self.slow.lock().map(|slow| slow.clone()).unwrap_or_default();
            if !is_request && !slow.is_empty() && text.contains(&slow) {
                thread::sleep(SLOW);
            }
            // What comes while it hangs is swallowed.
            if !self.hangs.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        if !self.hangs.load(Ordering::SeqCst) || is_request {
            to.shutdown(Shutdown::Both).ok();
        }
    }
}

/// Records what starts and ends while the engine hangs; returns the file name under which it is to be found.
fn hanging(container: &Container, arguments: &[&str], codes: &[i32]) -> Result<(Recorder, String)> {
    let proxy = Proxy::start(None)?;
    let mut recorder = Recorder::start_with(arguments, &[("DOCKER_HOST", &proxy.host())])?;
    recorder.until_said("note: ready")?;
    proxy.hang();
    container.start(&[], "mkdir /x")?;
    container.ends_well()?;
    let id = docker(&["inspect", "--format", "{{.Id}}", &container.name])?;
    recorder.signal(Signal::INT)?;
    let interrupted = Instant::now();
    let status = recorder.status()?;
    ensure!(status.is_some_and(|code| codes.contains(&code)), "{status:?}; it said: {}", recorder.said());
    // Three seconds for its last words.
    ensure!(interrupted.elapsed() < Duration::from_secs(8), "{:?}", interrupted.elapsed());
    recorder
        .ensure_said(&format!("the container {} ran, and the engine never said what it is", id.trim()))?;
    Ok((recorder, id.trim()[..12].to_owned()))
}

fn is_written(recorder: &Recorder, name: &str) -> Result<()> {
    let recording = recorder.recording(&format!("{name}.recording.json"))?;
    ensure!(
        recording.warnings.iter().any(|warning| warning.code == "unidentified-container"),
        "{:?}",
        recording.warnings
    );
    ensure!(recording.title() == name, "{}", recording.title());
    recorder.ensure_said(&format!("the recording of {name} is in"))?;
    ensure!(recorder.path(&format!("{name}.json")).exists(), "{:?}", recorder.written()?);
    ensure_calls(&recording, Origin::Application, &["mkdir"], &["mount"])
}

fn all() -> Result<()> {
    let container = Container::named("hang-all");
    let arguments = ["--all", "--output-dir", "{}", "--recording-dir", "{}"];
    // Another test's container may be about to start at the end: there is no profile of that one. Or somebody plays its application.
    let (recorder, name) = hanging(&container, &arguments, &[0, 2])?;
    let said = recorder.said();
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    let of_others = |line: &&str| {
        let is_known =
            ["no syscall of an application", "syscalls are lost"].iter().any(|what| line.contains(what));
        is_known && !line.contains(&name)
    };
    ensure!(errors.iter().all(of_others), "{errors:?}");
    recorder.ensure_said(&format!("warning: {name}: the container"))?;
    is_written(&recorder, &name)
}

fn by_name() -> Result<()> {
    let container = Container::named("hang-name");
    let place = ["-o", "{}/profile.json", "--recording", "{}/recording.json"];
    let arguments = [&["--wait", "--container", &container.name], &place[..]].concat();
    let (recorder, name) = hanging(&container, &arguments, &[2])?;
    recorder.ensure_said(&format!("{}: never appeared", container.name))?;
    let written = recorder.written()?;
    ensure!(!written.contains("profile.json") && !written.contains("recording.json"), "{written:?}");
    is_written(&recorder, &name)
}

fn at_the_start() -> Result<()> {
    // From its first answer on; at its ping, and at its list.
    for hangs_at in ["", "/_ping", "/containers/json"] {
        let proxy = Proxy::start(Some(hangs_at))?;
        let arguments = ["--all", "--output-dir", "{}"];
        let mut recorder = Recorder::start_with(&arguments, &[("DOCKER_HOST", &proxy.host())])?;
        proxy.until_it_hangs()?;
        let interrupted = Instant::now();
        recorder.signal(Signal::INT)?;
        let status = recorder.status()?;
        let after = interrupted.elapsed();
        ensure!(after < Duration::from_secs(2), "{hangs_at:?}: {after:?} later; it said {}", recorder.said());
        // By the signal itself where nothing is traced yet.
        ensure!(matches!(status, None | Some(2)), "{hangs_at:?}: {status:?}, {}", recorder.said());
        ensure!(recorder.written()?.is_empty(), "{:?}", recorder.written()?);
    }
    Ok(())
}

/// One engine hangs from its first answer on, or when it lists: the other one's containers are recorded all the same.
fn beside() -> Result<()> {
    let podman = Podman::with("runc")?;
    for hangs_at in ["/_ping", "/containers/json"] {
        let proxy = Proxy::start(Some(hangs_at))?;
        let host = proxy.host();
        let variables = podman.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let arguments = ["--wait", "--container", "beside", "--recording", "{}/recording.json"];
        let mut recorder =
            Recorder::start_with(&arguments, &[&variables[..], &[("DOCKER_HOST", &host)]].concat())?;
        let started = Instant::now();
        recorder.until_said("note: ready")?;
        ensure!(started.elapsed() < Duration::from_secs(15), "{hangs_at}: {:?}", started.elapsed());
        recorder.ensure_said("Podman ")?;
        podman.start("beside", &["--rm"], "mkdir /x")?;
        recorder.ends_with(0)?;
        ensure_calls(&recorder.recording("recording.json")?, Origin::Application, &["mkdir"], &["mount"])?;
    }
    Ok(())
}

/// The list that comes after the new name still has the old one.
fn renamed() -> Result<()> {
    let (old, container) = (Container::named("list-old"), Container::named("list-new"));
    let create = ["create", "--network", "none", "--name", &old.name, image()?];
    let id = docker(&[&create[..], &["sh", "-c", "mkdir /x"]].concat())?;
    let proxy = Proxy::start(None)?;
    // The answer is older than the event: it waits on its way back.
    proxy.slow_down(&format!("\"Id\":\"{}\"", id.trim()));
    let arguments = ["--wait", "--container", &container.name, "--recording", "{}/recording.json"];
    let mut recorder = Recorder::start_with(&arguments, &[("DOCKER_HOST", &proxy.host())])?;
    recorder.until_said("note: found")?;
    thread::sleep(SLOW / 4);
    docker(&["rename", &old.name, &container.name])?;
    recorder.until_said("note: ready")?;
    docker(&["start", &container.name])?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(0)?;
    ensure_calls(&recorder.recording("recording.json")?, Origin::Application, &["mkdir"], &["mount"])
}

/// The first thing that is seen of it is a cgroup below its own; it ran before all the same.
fn new_cgroup_inside() -> Result<()> {
    let container = Container::named("late-inside");
    container.start(&[], "until [ -e /go ]; do sleep 0.05; done; chmod 700 /bin")?;
    let id = docker(&["inspect", "--format", "{{.Id}}", &container.name])?;
    let proxy = Proxy::start(None)?;
    proxy.slow_down(&format!("\"Id\":\"{}\"", id.trim()));
    let arguments = ["--container", &container.name, "--recording", "{}/recording.json"];
    let mut recorder = Recorder::start_with(&arguments, &[("DOCKER_HOST", &proxy.host())])?;
    recorder.until_said("note: found")?;
    thread::sleep(SLOW / 4);
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &container.name])?;
    let own = seccomp_trace::inspect::cgroup::of_process(pid.trim().parse()?)?;
    let hierarchy = seccomp_trace::inspect::cgroup::Hierarchy::find()?;
    let below = hierarchy.directory(&own).join("below");
    std::fs::create_dir(&below)?;
    recorder.until_said("note: ready")?;
    recorder.ensure_said(&format!("{}: it was running before (attached late)", container.name))?;
    docker(&["exec", &container.name, "touch", "/go"])?;
    container.ends_well()?;
    std::fs::remove_dir(&below).ok();
    container.remove()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    ensure!(recording.boundary.attached_late, "{:?}", recording.boundary);
    ensure_calls(&recording, Origin::Application, &["chmod"], &["mount"])
}
