//! The Docker engine's own answers, from a running Docker: what is inspected, and that no event is missed,
//! also where the connection breaks.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use seccomp_trace::engine::docker::Docker;
use seccomp_trace::engine::docker::address::{Address, Settings};
use seccomp_trace::engine::select::Selector;
use seccomp_trace::engine::{ContainerInfo, Engine as _, EngineEvent, cgroup_path};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use crate::recorder::{self, IMAGE};
use crate::support::{self, Need, Trial, test};

/// More than any single event takes.
const SOON: Duration = Duration::from_secs(20);

/// The tests.
pub fn tests() -> Vec<Trial> {
    const DOCKER: &[Need] = &[Need::Docker, Need::Busybox];
    vec![
        test("a_container_is_described", DOCKER, a_container_is_described),
        test("a_container_that_does_not_run", DOCKER, a_container_that_does_not_run),
        test("the_events_of_a_life", DOCKER, the_events_of_a_life),
        test("no_event_is_missed_at_the_start", DOCKER, no_event_is_missed_at_the_start),
        test("no_event_is_missed_in_a_broken_connection", DOCKER, no_event_is_missed_in_a_broken_connection),
    ]
}

/// Runs docker's own command line, and returns what it printed.
fn docker(arguments: &[&str]) -> Result<String> {
    Ok(recorder::docker(arguments)?.trim().to_owned())
}

/// Removes its container at the end, however the test ends.
struct Container {
    name: String,
    id: String,
}

impl Container {
    fn run(name: &str, options: &[&str], command: &[&str]) -> Result<Self> {
        let name = format!("seccomp-trace-api-{name}-{}", std::process::id());
        recorder::image()?;
        let start = ["run", "--detach", "--init", "--name", &name];
        // Made before the start: what docker leaves of a failed one is removed as well.
        let mut container = Self { name: name.clone(), id: String::new() };
        container.id = docker(&[&start, options, &[IMAGE], command].concat())?;
        Ok(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", &self.name]);
    }
}

/// Runs a test on one thread, as the program does.
fn with_docker<F: AsyncFnOnce(Docker) -> Result<()>>(test: F) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { test(Docker::connect().await?).await })
}

/// Waits for an event that this holds for, and returns what came before it, too.
async fn until(
    events: &mut UnboundedReceiver<EngineEvent>,
    is_it: impl Fn(&EngineEvent) -> bool,
) -> Result<Vec<EngineEvent>> {
    let mut all = Vec::new();
    let wait = async {
        loop {
            let event = events.recv().await.context("the watch has ended")?;
            all.push(event);
            if all.last().is_some_and(&is_it) {
                return Ok(());
            }
        }
    };
    match timeout(SOON, wait).await {
        Ok(result) => result.map(|()| all),
        Err(_) => bail!("no such event in time, only {all:?}"),
    }
}

/// The id of the container that an event is about.
fn id_of(event: &EngineEvent) -> Option<&str> {
    match event {
        EngineEvent::Created(container) => Some(&container.id),
        EngineEvent::Renamed { id, .. }
        | EngineEvent::Started { id }
        | EngineEvent::Stopped { id }
        | EngineEvent::Removed { id } => Some(id),
        EngineEvent::Disconnected { .. } | EngineEvent::Reconnected => None,
    }
}

/// Waits for the next event of this container: others may run on this host.
async fn next(events: &mut UnboundedReceiver<EngineEvent>, id: &str) -> Result<EngineEvent> {
    let mut all = until(events, |event| id_of(event) == Some(id)).await?;
    all.pop().context("no event")
}

async fn inspect(docker: &Docker, name: &str) -> Result<ContainerInfo> {
    docker.inspect(name).await?.with_context(|| format!("{name} is not found"))
}

/// A running container is found by its name, its id and the beginning of its id, and described.
fn a_container_is_described() -> Result<()> {
    with_docker(async |engine| {
        let started = Container::run("described", &["--label", "tier=front"], &["sleep", "60"])?;
        let found = inspect(&engine, &started.name).await?;
        for name in [started.id.as_str(), &started.id[..12], &format!("/{}", started.name)] {
            ensure!(inspect(&engine, name).await? == found, "{name} differs");
        }
        let container = &found.container;
        ensure!(container.name == started.name && container.id == started.id, "{container:?}");
        ensure!(container.engine == "docker" && container.engine_version.is_some(), "{container:?}");
        ensure!(container.runtime.is_some() && container.runtime_version.is_some(), "{container:?}");
        ensure!(container.image.as_deref() == Some(IMAGE), "{container:?}");
        let digest = container.image_digest.as_deref().unwrap_or_default();
        ensure!(digest.starts_with("sha256:") && digest.len() == 71, "{container:?}");
        ensure!(container.labels.get("tier").is_some_and(|value| value == "front"), "{container:?}");

        let pid = found.pid.context("it has no pid")?;
        let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let path = cgroups.lines().find_map(|line| line.strip_prefix("0::")).context("no cgroup v2")?;
        let cgroup = cgroup_path::container(path).with_context(|| format!("no container in {path}"))?;
        ensure!(cgroup.id == started.id && !cgroup.below, "{cgroup:?}");

        let listed = engine.list().await?;
        ensure!(listed.contains(&found), "{listed:?}");
        for label in ["tier", "tier=front"] {
            ensure!(Selector::parse(&[], &[], &[label], false)?.matches(container), "{label}");
        }
        ensure!(Selector::parse(&[&started.id[..4]], &[], &[], false)?.matches(container));
        Ok(())
    })
}

/// What is not there is `None`, and what is stopped has no pid.
fn a_container_that_does_not_run() -> Result<()> {
    with_docker(async |engine| {
        for name in ["seccomp-trace-no-such", "", "/", "a/b", "../version", "?x", "ü", "\u{1b}[31m"] {
            ensure!(engine.inspect(name).await?.is_none(), "{name:?}");
        }
        let stopped = Container::run("stopped", &[], &["true"])?;
        docker(&["wait", &stopped.name])?;
        ensure!(inspect(&engine, &stopped.name).await?.pid.is_none());
        ensure!(engine.list().await?.iter().any(|info| info.container.id == stopped.id));
        Ok(())
    })
}

/// The whole life of a container is told in order.
fn the_events_of_a_life() -> Result<()> {
    with_docker(async |engine| {
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;
        let started = Container::run("life", &["--label", "tier=front"], &["sleep", "60"])?;
        let (id, name) = (started.id.clone(), format!("{}-2", started.name));
        docker(&["rename", &started.name, &name])?;
        docker(&["exec", &name, "true"])?;
        docker(&["rm", "--force", &name])?;
        let EngineEvent::Created(container) = next(&mut events, &id).await? else {
            bail!("not created first")
        };
        ensure!(container.name == started.name && container.image.as_deref() == Some(IMAGE), "{container:?}");
        ensure!(container.labels.len() == 1 && container.labels["tier"] == "front", "{container:?}");
        for expected in [
            EngineEvent::Started { id: id.clone() },
            EngineEvent::Renamed { id: id.clone(), name },
            EngineEvent::Stopped { id: id.clone() },
            EngineEvent::Removed { id: id.clone() },
        ] {
            let event = next(&mut events, &id).await?;
            ensure!(event == expected, "{event:?}, expected {expected:?}");
        }
        Ok(())
    })
}

/// A container that is made as soon as the watch is there is never missed.
fn no_event_is_missed_at_the_start() -> Result<()> {
    with_docker(async |engine| {
        for turn in 0..support::turns(20) {
            let (sender, mut events) = unbounded_channel();
            engine.watch(sender).await?;
            // The runtime's only thread waits here: the stream is not even asked for yet.
            let name = format!("seccomp-trace-api-first-{turn}-{}", std::process::id());
            let id = docker(&["create", "--name", &name, recorder::image()?, "true"])?;
            docker(&["rm", &name])?;
            ensure!(matches!(next(&mut events, &id).await?, EngineEvent::Created(_)), "turn {turn}");
        }
        Ok(())
    })
}

/// A broken connection is told, and what happens meanwhile is told afterwards, once.
fn no_event_is_missed_in_a_broken_connection() -> Result<()> {
    with_docker(async |_| {
        let Address::Unix(socket) = Settings::of_process().address()? else { bail!("not a Unix socket") };
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("proxy.sock");
        let proxy = tokio::spawn(proxy(UnixListener::bind(&path)?, socket.clone()));
        let engine = Docker::connect_at(Address::Unix(path.clone())).await?;
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;

        let before = Container::run("before", &[], &["sleep", "60"])?;
        ensure!(matches!(next(&mut events, &before.id).await?, EngineEvent::Created(_)));
        ensure!(matches!(next(&mut events, &before.id).await?, EngineEvent::Started { .. }));

        proxy.abort();
        std::fs::remove_file(&path)?;
        let is_away =
            |event: &EngineEvent| matches!(event, EngineEvent::Disconnected { reason } if !reason.is_empty());
        until(&mut events, is_away).await?;
        let meanwhile = Container::run("meanwhile", &[], &["true"])?;
        docker(&["wait", &meanwhile.name])?;
        sleep(Duration::from_millis(300)).await;
        let proxy = tokio::spawn(self::proxy(UnixListener::bind(&path)?, socket));
        // It is back once it has been well for a while: before or after what it has to tell.
        let stopped = EngineEvent::Stopped { id: meanwhile.id.clone() };
        let mut after = until(&mut events, |event| *event == EngineEvent::Reconnected).await?;
        if !after.contains(&stopped) {
            after.extend(until(&mut events, |event| *event == stopped).await?);
        }
        let of = |id: &str| after.iter().filter(|event| id_of(event) == Some(id)).count();
        ensure!(of(&meanwhile.id) == 3, "created, started, stopped: {after:?}");
        ensure!(of(&before.id) == 0, "told twice: {after:?}");
        proxy.abort();
        Ok(())
    })
}

/// Passes connections on, until it is aborted with all of them.
async fn proxy(listener: UnixListener, target: std::path::PathBuf) -> Result<()> {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await?;
        let mut far = UnixStream::connect(&target).await?;
        connections.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
    }
}
