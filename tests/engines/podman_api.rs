//! The Podman engine's own answers, from a service of Podman's: what is inspected, and that no event is missed, also
//! where the service ends.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use seccomp_trace::engine::podman::{self, address::Settings};
use seccomp_trace::engine::{ContainerInfo, Engine as _, EngineError, EngineEvent};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::podman::{Podman, Served};
use crate::recorder::IMAGE;
use crate::support::{self, Need, Trial, temp_dir, test};

/// More than any single event takes.
const SOON: Duration = Duration::from_secs(20);

/// The tests.
pub fn tests() -> Vec<Trial> {
    const NEEDS: &[Need] = &[Need::Podman, Need::Busybox, Need::Runc];
    vec![
        test("podman_a_container_is_described", NEEDS, a_container_is_described),
        test("podman_a_container_that_does_not_run", NEEDS, a_container_that_does_not_run),
        test("podman_a_pod_and_what_holds_it", NEEDS, a_pod),
        test("podman_the_events_of_a_life", NEEDS, the_events_of_a_life),
        test("podman_no_event_is_missed_at_the_start", NEEDS, no_event_is_missed_at_the_start),
        test("podman_no_event_is_missed_while_its_log_turns_over", NEEDS, its_log_turns_over).only_in_full(),
        test("podman_no_event_is_missed_where_its_service_ends", NEEDS, its_service_ends),
        test("podman_one_that_is_gone_is_named_first", NEEDS, one_that_is_gone),
        test("podman_a_service_that_hangs", NEEDS, a_service_that_hangs),
    ]
}

/// Runs a test on one thread, as the program does.
fn with_podman<F: AsyncFnOnce(&Podman, podman::Podman, Served) -> Result<()>>(test: F) -> Result<()> {
    let podman = Podman::with("runc")?;
    let served = podman.serve()?;
    run(async {
        let engine = podman::Podman::connect_with(&at(&served)).await?;
        test(&podman, engine, served).await
    })
}

fn run(test: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(test)
}

fn at(served: &Served) -> Settings {
    Settings { host: Some(served.host()), ..Settings::default() }
}

/// Waits for an event that this holds for, and returns what came before it, too.
async fn until(
    events: &mut UnboundedReceiver<EngineEvent>,
    is_it: impl Fn(&EngineEvent) -> bool,
) -> Result<Vec<EngineEvent>> {
    let mut all = Vec::new();
    let wait = async {
        loop {
            all.push(events.recv().await.context("the watch has ended")?);
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

async fn inspect(engine: &podman::Podman, name: &str) -> Result<ContainerInfo> {
    engine.inspect(name).await?.with_context(|| format!("{name} is not found"))
}

/// By its name, its id and the beginning of its id.
fn a_container_is_described() -> Result<()> {
    with_podman(async |podman, engine, served| {
        podman.start("described", &["--label", "tier=front"], "sleep 60")?;
        let found = inspect(&engine, "described").await?;
        let container = &found.container;
        for name in [container.id.as_str(), &container.id[..12], "/described"] {
            ensure!(inspect(&engine, name).await? == found, "{name} differs");
        }
        ensure!(container.engine == "podman" && container.name == "described", "{container:?}");
        let version = podman.run(&["version", "--format", "{{.Client.Version}}"])?;
        ensure!(container.engine_version.as_deref() == Some(version.trim()), "{container:?}");
        ensure!(engine.found() == format!("Podman {} at {}", version.trim(), served.host()));
        ensure!(container.runtime.as_deref() == Some("runc"), "{container:?}");
        ensure!(container.runtime_version.is_some(), "{container:?}");
        ensure!(container.image.as_deref() == Some(&format!("localhost/{IMAGE}:latest")), "{container:?}");
        let digest = container.image_digest.as_deref().unwrap_or_default();
        ensure!(digest.starts_with("sha256:") && digest.len() == 71, "{container:?}");
        ensure!(container.labels.len() == 1 && container.labels["tier"] == "front", "{container:?}");
        ensure!(container.pod.is_none() && !found.is_sandbox, "{found:?}");

        let pid = found.pid.context("it has no pid")?;
        let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let path = cgroups.lines().find_map(|line| line.strip_prefix("0::")).context("no cgroup v2")?;
        let cgroup = engine.container_of(path).with_context(|| format!("no container in {path}"))?;
        ensure!(cgroup.id == container.id && !cgroup.below, "{cgroup:?}");
        ensure!(engine.list().await? == [found], "{:?}", engine.list().await);
        Ok(())
    })
}

/// What is not there is `None`, and what is stopped has no pid.
fn a_container_that_does_not_run() -> Result<()> {
    with_podman(async |podman, engine, _served| {
        ensure!(engine.list().await?.is_empty());
        for name in ["seccomp-trace-no-such", "", "/", "a/b", "../version", "?x", "ü", "\u{1b}[31m"] {
            ensure!(engine.inspect(name).await?.is_none(), "{name:?}");
        }
        podman.start("stopped", &[], "true")?;
        podman.ends_well("stopped")?;
        let found = inspect(&engine, "stopped").await?;
        ensure!(found.pid.is_none(), "{found:?}");
        ensure!(engine.list().await? == [found]);
        Ok(())
    })
}

/// Its containers know its name; the one that holds it together is told apart.
fn a_pod() -> Result<()> {
    with_podman(async |podman, engine, _served| {
        podman.run(&pod("shop"))?;
        podman.run(&["run", "--detach", "--pod", "shop", "--name", "web", IMAGE, "sleep", "60"])?;
        let web = inspect(&engine, "web").await?;
        let of = |info: &ContainerInfo| info.container.pod.as_ref().map(|pod| pod.name.clone());
        ensure!(of(&web).as_deref() == Some("shop") && !web.is_sandbox, "{web:?}");
        let listed = engine.list().await?;
        ensure!(listed.len() == 2 && listed.contains(&web), "{listed:?}");
        let infra = listed.iter().find(|info| **info != web).context("no infra container")?;
        ensure!(infra.is_sandbox && infra.pid.is_some() && of(infra).as_deref() == Some("shop"), "{infra:?}");
        ensure!(inspect(&engine, &infra.container.id).await? == *infra);
        Ok(())
    })
}

/// How a pod of this name is made: its infra container is of the tests' image, too.
fn pod(name: &str) -> [&str; 9] {
    let command = "sleep 60";
    ["pod", "create", "--network=none", "--infra-image", IMAGE, "--infra-command", command, "--name", name]
}

/// The whole life of a container is told in order.
fn the_events_of_a_life() -> Result<()> {
    with_podman(async |podman, engine, _served| {
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;
        podman.start("life", &["--label", "tier=front", "--label", "podIds=x"], "sleep 60")?;
        let id = inspect(&engine, "life").await?.container.id;
        podman.run(&["rename", "life", "life-2"])?;
        podman.run(&["exec", "life-2", "true"])?;
        podman.run(&["rm", "--force", "--time=0", "life-2"])?;
        let all = until(&mut events, |event| matches!(event, EngineEvent::Removed { .. })).await?;
        let Some(EngineEvent::Created(container)) = all.first() else { bail!("not created first: {all:?}") };
        let image = format!("localhost/{IMAGE}:latest");
        ensure!(container.name == "life" && container.image == Some(image), "{container:?}");
        ensure!(container.id == id && container.engine == "podman", "{container:?}");
        ensure!(container.labels.len() == 2 && container.labels["tier"] == "front", "{container:?}");
        let expected = [
            EngineEvent::Started { id: id.clone() },
            EngineEvent::Renamed { id: id.clone(), name: "life-2".to_owned() },
            EngineEvent::Stopped { id: id.clone() },
            EngineEvent::Removed { id },
        ];
        ensure!(all[1..] == expected, "{all:?}");
        Ok(())
    })
}

/// A container that is made as soon as the watch is there is never missed, also the first of all.
fn no_event_is_missed_at_the_start() -> Result<()> {
    with_podman(async |podman, engine, _served| {
        for turn in 0..support::turns(20) {
            let (sender, mut events) = unbounded_channel();
            engine.watch(sender).await?;
            // The runtime's only thread waits here: the stream is not even asked for yet.
            let name = format!("first-{turn}");
            podman.run(&["create", "--name", &name, IMAGE, "true"])?;
            podman.run(&["rm", &name])?;
            let all = until(&mut events, |event| matches!(event, EngineEvent::Removed { .. })).await?;
            let is_it =
                |event: &EngineEvent| matches!(event, EngineEvent::Created(known) if known.name == name);
            ensure!(all.len() == 2 && is_it(&all[0]), "turn {turn}: {all:?}");
        }
        Ok(())
    })
}

/// Podman throws the older half of its log away when it is full: here every few containers.
fn its_log_turns_over() -> Result<()> {
    let podman = Podman::configured("runc", "events_logfile_max_size=4000")?;
    let served = podman.serve()?;
    run(async {
        let engine = podman::Podman::connect_with(&at(&served)).await?;
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;
        for turn in 0..30 {
            podman.run(&["create", "--name", &format!("turn-{turn}"), IMAGE, "true"])?;
            podman.run(&["rm", &format!("turn-{turn}")])?;
            // The stream goes on between them.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let size = std::fs::metadata(podman.path("tmp/events/events.log"))?.len();
        ensure!(size < 8000, "the log never turned over: it has {size} bytes");
        let last = podman.run(&["create", "--name", "last", IMAGE, "true"])?;
        let is_last =
            |event: &EngineEvent| matches!(event, EngineEvent::Created(known) if known.id == last.trim());
        let all = until(&mut events, is_last).await?;
        let named = all.iter().filter_map(|event| match event {
            EngineEvent::Created(container) => Some(container.name.clone()),
            _ => None,
        });
        let named: Vec<_> = named.collect();
        let expected: Vec<_> =
            (0..30).map(|turn| format!("turn-{turn}")).chain(["last".to_owned()]).collect();
        ensure!(named == expected, "{named:?}");
        Ok(())
    })
}

/// Its end is told, and what happens meanwhile is told afterwards, once.
fn its_service_ends() -> Result<()> {
    with_podman(async |podman, engine, served| {
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;
        podman.start("before", &[], "sleep 60")?;
        until(&mut events, |event| matches!(event, EngineEvent::Started { .. })).await?;
        drop(served);
        let is_away =
            |event: &EngineEvent| matches!(event, EngineEvent::Disconnected { reason } if !reason.is_empty());
        until(&mut events, is_away).await?;
        let error = engine.list().await.err().context("a list without a service")?;
        ensure!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
        podman.run(&["run", "--name", "meanwhile", "--network=none", IMAGE, "true"])?;
        std::fs::remove_file(podman.path("podman.sock"))?;
        let _served = podman.serve()?;
        // It is back once it has been well for a while: before or after what it has to tell.
        let is_stopped = |event: &EngineEvent| matches!(event, EngineEvent::Stopped { .. });
        let mut all = until(&mut events, |event| *event == EngineEvent::Reconnected).await?;
        if !all.iter().any(is_stopped) {
            all.extend(until(&mut events, is_stopped).await?);
        }
        all.retain(|event| *event != EngineEvent::Reconnected);
        let is_meanwhile =
            |event: &EngineEvent| matches!(event, EngineEvent::Created(known) if known.name == "meanwhile");
        ensure!(all.len() == 3 && is_meanwhile(&all[0]), "{all:?}");
        ensure!(engine.list().await?.len() == 2);
        Ok(())
    })
}

/// Podman's stream is late: whoever asks for one that lived for an instant hears its name before he hears that it is
/// gone.
fn one_that_is_gone() -> Result<()> {
    with_podman(async |podman, engine, _served| {
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;
        // The stream is up, and looks into the log again in a while.
        podman.run(&["create", "--name", "first", IMAGE, "true"])?;
        until(&mut events, |event| matches!(event, EngineEvent::Created(_))).await?;
        for turn in 0..support::turns(10) {
            let name = format!("instant-{turn}");
            let id = podman.run(&["create", "--label", "a=b", "--name", &name, IMAGE, "true"])?;
            podman.run(&["rm", &name])?;
            ensure!(engine.inspect(id.trim()).await?.is_none());
            let mut heard = Vec::new();
            while let Ok(event) = events.try_recv() {
                heard.push(event);
            }
            let is_it = |event: &EngineEvent| match event {
                EngineEvent::Created(known) => known.name == name && known.labels["a"] == "b",
                _ => false,
            };
            ensure!(heard.iter().any(is_it), "turn {turn}: {heard:?}");
        }
        // Somebody else's is nobody's.
        ensure!(engine.inspect(&"0123456789abcdef".repeat(4)).await?.is_none());
        Ok(())
    })
}

/// Every question has its limit, also the first one.
fn a_service_that_hangs() -> Result<()> {
    with_podman(async |_podman, engine, served| {
        served.signal(Signal::STOP)?;
        let began = Instant::now();
        let error = engine.list().await.err().context("a list")?;
        ensure!(matches!(&error, EngineError::Unreachable { .. }), "{error:?}");
        ensure!(error.to_string().contains("no answer in time"), "{error}");
        let error = engine.inspect("web").await.err().context("an answer")?;
        ensure!(matches!(&error, EngineError::Unreachable { .. }), "{error:?}");
        ensure!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
        served.signal(Signal::CONT)?;
        ensure!(engine.list().await?.is_empty());

        let folder = temp_dir()?;
        let socket = folder.path().join("podman.sock");
        let _listener = UnixListener::bind(&socket)?;
        let settings = Settings { host: Some(format!("unix://{}", socket.display())), ..Settings::default() };
        let began = Instant::now();
        let error = podman::Podman::connect_with(&settings).await.err().context("a connection")?;
        ensure!(matches!(&error, EngineError::Unreachable { .. }), "{error:?}");
        ensure!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        Ok(())
    })
}
