//! Containers that move: out of their cgroup, and into another one's. Whose a call is, the container's filter and namespace
//! say, not the folder.

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::inspect::cgroup::Hierarchy;
use seccomp_trace::recording::{Lost, Origin, Recording};

use crate::recorder::{Container, Recorder, calls, docker, ensure_calls};
use crate::steps::{NEEDS, Place};
use crate::support::{self, Trial};

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_follows_who_leaves_its_cgroup", NEEDS, || {
            left(&["--security-opt", "seccomp={}/tracing.json"], "move /cg", 0)
        }),
        support::test("record_follows_who_leaves_after_filters_of_its_own", NEEDS, || {
            // A chain has room for so many of an instruction each, beside Docker's own.
            left(&["--security-opt", "seccomp={}/tracing.json"], "filters 3500 move /cg", 0)
        }),
        support::test("record_follows_who_leaves_after_a_filter_of_all_threads", NEEDS, || {
            left(&["--security-opt", "seccomp={}/tracing.json"], "thread filter-of-all move /cg", 0)
        }),
        support::test("record_follows_who_mounts_the_hierarchy_and_leaves", NEEDS, || {
            left(
                &["--security-opt", "seccomp={}/tracing.json", "--cap-add", "SYS_ADMIN"],
                "mount /m move /m",
                0,
            )
        }),
        support::test("record_follows_who_changes_its_root_and_leaves", NEEDS, || {
            let options =
                ["--security-opt", "seccomp=unconfined", "--cap-add", "SYS_ADMIN", "--volume", "/:/host"];
            let root = Hierarchy::find()?.directory("/").display().to_string();
            left(&options, &format!("chroot /host move {root}"), 2)
        }),
        support::test("record_follows_who_was_brought_in_and_leaves", NEEDS, brought_in),
        support::test("record_by_two_at_once_follows_who_leaves", NEEDS, by_two),
        support::test("record_follows_who_leaves_without_a_namespace_of_its_own", NEEDS, || {
            left(&["--security-opt", "seccomp={}/tracing.json", "--pid", "host"], "move /cg", 0)
        }),
        support::test("record_follows_who_leaves_without_a_filter", NEEDS, || {
            left(&["--security-opt", "seccomp=unconfined"], "move /cg", 2)
        }),
        support::test("record_follows_who_leaves_without_a_filter_or_namespace", NEEDS, || {
            left(&["--security-opt", "seccomp=unconfined", "--pid", "host"], "move /cg", 2)
        }),
        support::test("record_keeps_strangers_out_of_a_container", NEEDS, stranger),
        support::test("record_tells_two_containers_in_one_cgroup_apart", NEEDS, two_in_one),
    ]
}

/// Numbers of calls that nothing else makes.
const GETITIMER: i64 = libc::SYS_getitimer;
const GETPRIORITY: i64 = libc::SYS_getpriority;
const GETSID: i64 = libc::SYS_getsid;

fn whole(recording: &Recording) -> Result<()> {
    ensure!(recording.lost == Lost::default(), "{:?}", recording.lost);
    Ok(())
}

/// A container gets out by these steps, and goes on; a child of it executes something.
fn left(options: &[&str], out: &str, code: i32) -> Result<()> {
    let (place, container) = (Place::new()?, Container::named("leaving"));
    let arguments = ["--wait", "--container", &container.name, "--recording", "{}/r.json", "--strict"];
    let mut recorder = Recorder::ready(&arguments)?;
    let steps = format!("{out} call {GETITIMER} fork call {GETPRIORITY} exec call {GETSID}");
    place.start(&container, options, &steps)?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(code)?;
    let recording = recorder.recording("r.json")?;
    whole(&recording)?;
    ensure!(!recorder.said().contains("from elsewhere"), "{}", recorder.said());
    recorder.ensure_said("processes of it left its cgroup (1: steps)")?;
    ensure_calls(&recording, Origin::Application, &["getitimer", "getpriority", "getsid"], &["pivot_root"])
}

/// The cgroup of a container, below the hierarchy's root.
fn cgroup_of(container: &Container) -> Result<String> {
    let id = docker(&["inspect", "--format", "{{.Id}}", &container.name])?;
    let tree = Hierarchy::find()?.tree("/");
    tree.into_iter().find(|path| path.ends_with(id.trim())).context("it has no cgroup")
}

/// A container that is not recorded moves into one that is.
fn stranger() -> Result<()> {
    let (place, victim, other) = (Place::new()?, Container::named("victim"), Container::named("stranger"));
    let arguments = ["--wait", "--container", &victim.name, "--recording", "{}/r.json", "--strict"];
    let mut recorder = Recorder::ready(&arguments)?;
    let exact = ["--security-opt", "seccomp={}/tracing.json"];
    place.start(&victim, &exact, &format!("call {GETSID} say up until /s/go"))?;
    victim.until_said("up")?;
    let into = format!(
        "move /cg{} call {GETITIMER} fork call {GETPRIORITY} exec call {GETPRIORITY}",
        cgroup_of(&victim)?
    );
    place.start(&other, &["--cap-add", "SYS_ADMIN"], &into)?;
    other.ends_well()?;
    // Not a stranger.
    docker(&["exec", &victim.name, "mkdir", "/x"])?;
    place.say("go")?;
    victim.ends_well()?;
    victim.remove()?;
    recorder.ends_with(2)?;
    recorder.ensure_said("processes from elsewhere")?;
    recorder.ensure_said("(1: steps)")?;
    let recording = recorder.recording("r.json")?;
    whole(&recording)?;
    let all = calls(&recording, None);
    ensure!(!all.contains("getitimer") && !all.contains("getpriority"), "{all:?}");
    ensure_calls(&recording, Origin::Application, &["getsid"], &["mkdir"])?;
    ensure_calls(&recording, Origin::Joined, &["mkdir"], &[])
}

/// By `docker exec`: its filter is another load of the profile, and its child's.
fn brought_in() -> Result<()> {
    let (place, container) = (Place::new()?, Container::named("brought-in"));
    let mut recorder =
        Recorder::ready(&["--wait", "--container", &container.name, "--recording", "{}/r.json"])?;
    let exact = ["--security-opt", "seccomp={}/tracing.json"];
    place.start(&container, &exact, "say up until /s/go")?;
    container.until_said("up")?;
    let steps = format!("move /cg call {GETITIMER} fork call {GETPRIORITY} exec call {GETSID}");
    let words = ["exec", container.name.as_str(), "/s/steps"];
    docker(&words.into_iter().chain(steps.split_whitespace()).collect::<Vec<_>>())?;
    place.say("go")?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("r.json")?;
    whole(&recording)?;
    let names = ["getitimer", "getpriority", "getsid"];
    ensure_calls(&recording, Origin::Application, &[], &names)?;
    ensure_calls(&recording, Origin::Joined, &names, &[])
}

/// Each has a kernel program of its own.
fn by_two() -> Result<()> {
    let (place, container) = (Place::new()?, Container::named("by-two"));
    let arguments = ["--wait", "--container", &container.name, "--recording", "{}/r.json", "--strict"];
    let mut recorders = [Recorder::ready(&arguments)?, Recorder::ready(&arguments)?];
    let exact = ["--security-opt", "seccomp={}/tracing.json"];
    place.start(&container, &exact, &format!("move /cg call {GETITIMER} fork call {GETPRIORITY}"))?;
    container.ends_well()?;
    container.remove()?;
    for recorder in &mut recorders {
        recorder.ends_with(0)?;
        let recording = recorder.recording("r.json")?;
        whole(&recording)?;
        ensure_calls(&recording, Origin::Application, &["getitimer", "getpriority"], &["mount"])?;
    }
    Ok(())
}

/// One recorded container moves into another recorded one, which makes a call that it makes, too.
fn two_in_one() -> Result<()> {
    let place = Place::new()?;
    let prefix = crate::proof::container::unused_name("two");
    let container = |name: &str| Container { name: format!("{prefix}-{name}") };
    let (victim, other) = (container("victim"), container("other"));
    let glob = format!("{prefix}-*");
    let mut recorder = Recorder::ready(&["--container", &glob, "--recording-dir", "{}"])?;
    let exact = ["--security-opt", "seccomp={}/tracing.json"];
    place.start(&victim, &exact, &format!("call {GETSID} say up until /s/go"))?;
    victim.until_said("up")?;
    let into = format!("move /cg{} call {GETSID} call {GETITIMER}", cgroup_of(&victim)?);
    place.start(&other, &exact, &into)?;
    other.ends_well()?;
    place.say("go")?;
    victim.ends_well()?;
    victim.remove()?;
    other.remove()?;
    recorder.interrupt()?;
    let recording = |container: &Container| recorder.recording(&format!("{}.recording.json", container.name));
    ensure_calls(&recording(&other)?, Origin::Application, &["getsid", "getitimer"], &[])?;
    let recording = recording(&victim)?;
    whole(&recording)?;
    ensure!(
        recording.warnings.iter().any(|warning| warning.code == "foreign-tasks"),
        "{:?}",
        recording.warnings
    );
    let all = calls(&recording, None);
    ensure!(all.contains("getsid") && !all.contains("getitimer"), "{all:?}");
    Ok(())
}
