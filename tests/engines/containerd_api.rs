//! containerd's own answers, from a running containerd: its containers and pods in all namespaces, and their events.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use procfs::process::Process;
use rustix::process::{Pid, Signal};
use seccomp_trace::engine::containerd::Containerd;
use seccomp_trace::engine::{ContainerInfo, Engine as _, EngineError, EngineEvent};
use seccomp_trace::inspect::cgroup;
use seccomp_trace::recording::Pod as RecordedPod;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::container_matrix::command;
use crate::container_matrix::container::unused_name;
use crate::containerd::cri::{Pod, Seccomp};
use crate::containerd::{Host, IMAGE};
use crate::support::{Need, Trial, test};

/// More than any single event takes.
const SOON: Duration = Duration::from_secs(20);
const NEEDS: &[Need] = &[Need::Kernel, Need::Containerd, Need::Runc, Need::Busybox];
const SLEEP: &str = "while :; do sleep 0.05; done";

/// The tests.
pub fn tests() -> Vec<Trial> {
    vec![
        test("containerd_describes_what_ctr_started", NEEDS, by_ctr),
        test("containerd_describes_pods", NEEDS, pods),
        test("containerd_leaves_dockers_namespace_out", NEEDS, dockers),
        test("containerd_tells_the_events_of_a_life", NEEDS, life),
        test("containerd_tells_the_events_of_a_pod", NEEDS, life_of_a_pod),
        test("containerd_misses_no_event_at_the_start", NEEDS, nothing_is_missed),
        test("containerd_is_away_and_back_when_it_restarts", NEEDS, restarts),
        test("containerd_that_hangs_is_waited_for_in_bounds", NEEDS, hangs),
        test("containerd_shim_that_hangs_hides_no_name", NEEDS, shim_hangs),
    ]
}

/// Runs a test on one thread, as the program does.
fn with(host: &Host, test: impl AsyncFnOnce(Containerd) -> Result<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { test(Containerd::connect_at(Some(&host.address())).await?).await })
}

async fn inspect(engine: &Containerd, name: &str) -> Result<ContainerInfo> {
    engine.inspect(name).await?.with_context(|| format!("{name} is not found"))
}

/// The id that the cgroup of a container's process tells.
fn id_by_cgroup(engine: &Containerd, info: &ContainerInfo) -> Result<String> {
    let path = cgroup::of_process(info.pid.context("no process")?)?;
    let found = engine.container_of(&path).with_context(|| format!("{path} is nobody's"))?;
    ensure!(!found.below && found.path == path, "{found:?}");
    Ok(found.id.to_owned())
}

fn by_ctr() -> Result<()> {
    let host = Host::start()?;
    let id = unused_name("described");
    host.run_in("default", &["--detach", "--label", "tier=front"], &id, SLEEP)?;
    let other_id = format!("{}/{id}", host.namespace);
    host.ctr(&["containers", "create", IMAGE, &id])?;
    with(&host, async |engine| {
        ensure!(engine.found() == format!("containerd {} at {}", version(&host)?, host.address()));
        let whole = format!("default/{id}");
        let info = inspect(&engine, &whole).await?;
        ensure!(inspect(&engine, &id).await? == info && id_by_cgroup(&engine, &info)? == whole, "{info:?}");
        let container = &info.container;
        ensure!(container.id == whole && container.name == id && container.pod.is_none(), "{info:?}");
        ensure!(container.engine == "containerd" && container.engine_version.is_some(), "{info:?}");
        ensure!(container.runtime.as_deref() == Some("runc") && container.runtime_version.is_some());
        ensure!(container.image.as_deref() == Some(IMAGE), "{info:?}");
        let digest = container.image_digest.as_deref().unwrap_or_default();
        ensure!(host.ctr(&["images", "list"])?.contains(digest) && digest.starts_with("sha256:"), "{info:?}");
        ensure!(container.labels.get("tier").is_some_and(|tier| tier == "front") && !info.is_sandbox);
        // The same name in another namespace is another container, which does not run.
        let other = inspect(&engine, &other_id).await?;
        ensure!(other.pid.is_none() && other.container.id == other_id, "{other:?}");
        let all = engine.list().await?;
        ensure!(all.len() == 2 && all.contains(&info) && all.contains(&other), "{all:?}");
        // Its task is there until somebody deletes it.
        host.ctr(&["--namespace", "default", "tasks", "kill", "--signal", "KILL", &id])?;
        let is_stopped =
            || Ok(host.ctr(&["--namespace", "default", "tasks", "list"])?.contains("STOPPED").then_some(()));
        command::until(SOON, "its end", is_stopped)?;
        let stopped = inspect(&engine, &whole).await?;
        ensure!(stopped.pid.is_none() && stopped.container == info.container, "{stopped:?}");
        ensure!(engine.list().await?.contains(&stopped));
        for nobody in
            ["nobody", "default/nobody", "nowhere/nobody", "", "/", "a/b/c", "default/", "%2e/\u{7}"]
        {
            ensure!(engine.inspect(nobody).await?.is_none(), "{nobody:?}");
        }
        Ok(())
    })
}

fn version(host: &Host) -> Result<String> {
    let said = host.ctr(&["version"])?;
    let version = said.lines().filter_map(|line| line.trim().strip_prefix("Version:")).next_back();
    Ok(version.context("no version")?.trim().trim_start_matches('v').to_owned())
}

fn pods() -> Result<()> {
    let host = Host::start()?;
    let pod = Pod::start(&host, "shop", "web-1")?;
    let id = pod.run("nginx", SLEEP, Seccomp::Default, &[("tier", "front")])?;
    with(&host, async |engine| {
        let info = inspect(&engine, &id).await?;
        for name in ["nginx", &id[..12]] {
            ensure!(inspect(&engine, name).await? == info, "{name} differs");
        }
        let container = &info.container;
        ensure!(container.id == id && container.name == "nginx" && !info.is_sandbox, "{info:?}");
        let expected = RecordedPod { namespace: Some("shop".to_owned()), name: "web-1".to_owned() };
        ensure!(container.pod == Some(expected.clone()), "{info:?}");
        ensure!(container.labels.get("tier").is_some_and(|tier| tier == "front"), "{info:?}");
        ensure!(container.runtime.as_deref() == Some("runc") && container.runtime_version.is_some());
        ensure!(container.image.as_deref() == Some(IMAGE), "{info:?}");
        ensure!(id_by_cgroup(&engine, &info)? == id);
        let sandbox = inspect(&engine, &pod.sandbox).await?;
        ensure!(sandbox.is_sandbox && sandbox.container.pod == Some(expected), "{sandbox:?}");
        ensure!(id_by_cgroup(&engine, &sandbox)? == pod.sandbox);
        let all = engine.list().await?;
        ensure!(all.len() == 2 && all.contains(&info) && all.contains(&sandbox), "{all:?}");
        pod.stop(&id, Duration::ZERO)?;
        let stopped = inspect(&engine, &id).await?;
        ensure!(stopped.pid.is_none() && stopped.container == info.container, "{stopped:?}");
        Ok(())
    })
}

/// They would appear twice.
fn dockers() -> Result<()> {
    let host = Host::start()?;
    let id = unused_name("dockers");
    with(&host, async |engine| {
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;
        host.ctr(&["--namespace", "moby", "containers", "create", IMAGE, &id])?;
        ensure!(engine.list().await?.is_empty());
        for name in [&id, &format!("moby/{id}")] {
            ensure!(engine.inspect(name).await?.is_none(), "{name}");
        }
        ensure!(engine.container_of(&format!("/moby/{id}")).is_none());
        host.ctr(&["containers", "create", IMAGE, &id])?;
        let first = timeout(SOON, events.recv()).await?.context("the watch has ended")?;
        ensure!(about(&first) == Some(&format!("{}/{id}", host.namespace)), "{first:?}");
        Ok(())
    })
}

/// The id of the container that an event is about.
fn about(event: &EngineEvent) -> Option<&str> {
    match event {
        EngineEvent::Created(container) => Some(&container.id),
        EngineEvent::Renamed { id, .. }
        | EngineEvent::Started { id }
        | EngineEvent::Stopped { id }
        | EngineEvent::Removed { id } => Some(id),
        EngineEvent::Disconnected { .. } | EngineEvent::Reconnected => None,
    }
}

/// The events up to one that this holds for.
async fn until(
    events: &mut UnboundedReceiver<EngineEvent>,
    is_it: impl Fn(&EngineEvent) -> bool,
) -> Result<Vec<EngineEvent>> {
    let mut all = Vec::new();
    let wait = async {
        while !all.last().is_some_and(&is_it) {
            all.push(events.recv().await.context("the watch has ended")?);
        }
        Ok(())
    };
    match timeout(SOON, wait).await {
        Ok(result) => result.map(|()| all),
        Err(_) => bail!("no such event in time, only {all:?}"),
    }
}

fn life() -> Result<()> {
    let host = Host::start()?;
    let id = unused_name("life");
    let whole = format!("{}/{id}", host.namespace);
    with(&host, async |engine| {
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;
        host.run(&["--detach", "--label", "tier=front"], &id, SLEEP)?;
        host.ctr(&["tasks", "exec", "--exec-id", "joined", &id, "true"])?;
        host.ctr(&["tasks", "kill", "--signal", "KILL", &id])?;
        let mut all = until(&mut events, |event| matches!(event, EngineEvent::Stopped { .. })).await?;
        host.ctr(&["tasks", "delete", &id])?;
        host.ctr(&["containers", "delete", &id])?;
        all.extend(until(&mut events, |event| matches!(event, EngineEvent::Removed { .. })).await?);
        let EngineEvent::Created(container) = all.remove(0) else { bail!("{all:?}") };
        ensure!(container.id == whole && container.name == id, "{container:?}");
        ensure!(container.labels.get("tier").is_some_and(|tier| tier == "front"), "{container:?}");
        let id = || whole.clone();
        // One when the task is made, one when it starts; none of the exec.
        let started = || EngineEvent::Started { id: id() };
        let expected =
            [started(), started(), EngineEvent::Stopped { id: id() }, EngineEvent::Removed { id: id() }];
        ensure!(all == expected, "{all:?}");
        Ok(())
    })
}

fn life_of_a_pod() -> Result<()> {
    let host = Host::start()?;
    with(&host, async |engine| {
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;
        let pod = Pod::start(&host, "shop", "web-1")?;
        let id = pod.run("nginx", "true", Seccomp::Default, &[])?;
        pod.ends_well(&id)?;
        let stopped = EngineEvent::Stopped { id: id.clone() };
        let mut all = until(&mut events, |event| *event == stopped).await?;
        drop(pod);
        let removed = EngineEvent::Removed { id: id.clone() };
        all.extend(until(&mut events, |event| *event == removed).await?);
        let known: Vec<_> = all.iter().filter(|event| matches!(event, EngineEvent::Created(_))).collect();
        // Whether a sandbox is left out, only its description tells.
        let [EngineEvent::Created(container)] = known.as_slice() else { bail!("{known:?}") };
        ensure!(container.id == id && container.name == "nginx", "{container:?}");
        ensure!(container.pod.as_ref().is_some_and(|pod| pod.name == "web-1"), "{container:?}");
        ensure!(all.contains(&EngineEvent::Started { id }), "{all:?}");
        Ok(())
    })
}

/// The stream itself says nothing of when it begins.
fn nothing_is_missed() -> Result<()> {
    let host = Host::start()?;
    with(&host, async |engine| {
        for round in 0..20 {
            let (sender, mut events) = unbounded_channel();
            engine.watch(sender).await?;
            let id = unused_name(&format!("missed-{round}"));
            host.ctr(&["containers", "create", IMAGE, &id])?;
            let whole = format!("{}/{id}", host.namespace);
            until(&mut events, |event| about(event) == Some(&whole)).await?;
        }
        Ok(())
    })
}

fn restarts() -> Result<()> {
    let mut host = Host::start()?;
    let (before, after) = (unused_name("before"), unused_name("after"));
    host.run(&["--detach"], &before, SLEEP)?;
    let address = host.address();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let engine = Containerd::connect_at(Some(&address)).await?;
        let (sender, mut events) = unbounded_channel();
        engine.watch(sender).await?;
        host.stop()?;
        until(&mut events, |event| matches!(event, EngineEvent::Disconnected { .. })).await?;
        let started = Instant::now();
        let error = engine.list().await.err().context("it answers")?;
        ensure!(matches!(error, EngineError::Unreachable { .. }), "{error}");
        ensure!(started.elapsed() < SOON, "{:?}", started.elapsed());
        host.start_again()?;
        let all = until(&mut events, |event| *event == EngineEvent::Reconnected).await?;
        ensure!(all == [EngineEvent::Reconnected], "{all:?}");
        // What ran meanwhile is there still, and its end is told.
        ensure!(inspect(&engine, &before).await?.pid.is_some());
        host.ctr(&["containers", "create", IMAGE, &after])?;
        host.ctr(&["tasks", "kill", "--signal", "KILL", &before])?;
        let all = until(&mut events, |event| matches!(event, EngineEvent::Stopped { .. })).await?;
        ensure!(about(&all[0]) == Some(&format!("{}/{after}", host.namespace)), "{all:?}");
        ensure!(all.last().and_then(about) == Some(&format!("{}/{before}", host.namespace)), "{all:?}");
        Ok(())
    })
}

fn hangs() -> Result<()> {
    let host = Host::start()?;
    with(&host, async |engine| {
        host.signal(Signal::STOP)?;
        let started = Instant::now();
        let address = host.address();
        let (sender, _events) = unbounded_channel();
        let all = async {
            tokio::join!(
                engine.inspect("default/x"),
                engine.list(),
                engine.watch(sender),
                Containerd::connect_at(Some(&address)),
            )
        };
        let all = timeout(2 * SOON, all).await;
        let after = started.elapsed();
        host.signal(Signal::CONT)?;
        let (inspected, listed, watched, connected) = all?;
        let connected = connected.err().map(|error| error.to_string());
        let errors =
            [inspected.err(), listed.err(), watched.err()].map(|error| error.map(|it| it.to_string()));
        for error in errors.into_iter().chain([connected]) {
            ensure!(error.as_deref().is_some_and(|said| said.contains("no answer in time")), "{error:?}");
        }
        ensure!(after < Duration::from_secs(12), "{after:?}");
        ensure!(engine.inspect("default/x").await?.is_none());
        Ok(())
    })
}

/// containerd asks the shim for the process; what else there is to say it knows itself.
fn shim_hangs() -> Result<()> {
    let host = Host::start()?;
    let (hanging, other) = (unused_name("hanging"), unused_name("other"));
    for name in [&hanging, &other] {
        host.run(&["--detach"], name, SLEEP)?;
    }
    with(&host, async |engine| {
        let info = inspect(&engine, &format!("{}/{hanging}", host.namespace)).await?;
        let init = Process::new(info.pid.context("no process")?)?;
        let shim = Pid::from_raw(init.stat()?.ppid).context("no shim")?;
        crate::support::signal(shim, Signal::STOP)?;
        let answers = tokio::join!(engine.inspect(&info.container.id), engine.list());
        crate::support::signal(shim, Signal::CONT)?;
        let (inspected, listed) = (answers.0?.context("not found")?, answers.1?);
        ensure!(inspected.container == info.container, "{inspected:?}");
        let names: Vec<_> = listed.iter().map(|info| (&info.container.name, info.pid.is_some())).collect();
        ensure!(names.contains(&(&other, true)), "{names:?}");
        ensure!(listed.iter().any(|listed| listed.container == info.container), "{names:?}");
        Ok(())
    })
}
