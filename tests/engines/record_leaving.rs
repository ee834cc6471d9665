//! Containers that move: out of their cgroup, and into another one's. Whose a call is, the container's filter and namespace
//! say, not the folder.

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use seccomp_trace::inspect::cgroup::Hierarchy;
use seccomp_trace::recording::{Lost, Origin, Recording};

use crate::recorder::{Container, Recorder, calls, docker, ensure_calls};
use crate::steps::{GETITIMER, GETPRIORITY, GETSID, NEEDS, OUTSIDE, Place, outside};
use crate::support::{self, Trial};

/// A way out of a container's cgroup.
struct Way {
    options: &'static [&'static str],
    /// `{root}` is the folder of the hierarchy's root.
    steps: &'static str,
    /// What the recorder ends with, as `--strict` has it: without a filter of the container's the boundary is estimated.
    code: i32,
}

const EXACT: &str = "seccomp={}/tracing.json";
const NO_FILTER: &str = "seccomp=unconfined";

const BY_A_VOLUME: Way = Way { options: &["--security-opt", EXACT], steps: "move /cg", code: 0 };
/// A chain has room for so many of an instruction each, beside Docker's own.
const FILTERS: Way = Way { steps: "filters 3500 move /cg", ..BY_A_VOLUME };
const FILTER_OF_ALL: Way = Way { steps: "thread filter-of-all move /cg", ..BY_A_VOLUME };
const BY_A_MOUNT: Way =
    Way { options: &["--security-opt", EXACT, "--cap-add", "SYS_ADMIN"], steps: "mount /m move /m", code: 0 };
const NO_NAMESPACE: Way = Way { options: &["--security-opt", EXACT, "--pid", "host"], ..BY_A_VOLUME };
const UNCONFINED: Way = Way { options: &["--security-opt", NO_FILTER], steps: "move /cg", code: 2 };
const NOTHING_OF_ITS_OWN: Way =
    Way { options: &["--security-opt", NO_FILTER, "--pid", "host"], ..UNCONFINED };
const ANOTHER_ROOT: Way = Way {
    options: &["--security-opt", NO_FILTER, "--cap-add", "SYS_ADMIN", "--volume", "/:/host"],
    steps: "chroot /host move {root}",
    code: 2,
};

/// All but those that differ in filters of their own alone.
const WAYS: &[Way] = &[BY_A_VOLUME, BY_A_MOUNT, NO_NAMESPACE, UNCONFINED, NOTHING_OF_ITS_OWN, ANOTHER_ROOT];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_follows_who_leaves_its_cgroup", NEEDS, || left(&BY_A_VOLUME)),
        support::test("record_follows_who_leaves_after_filters_of_its_own", NEEDS, || left(&FILTERS)),
        support::test("record_follows_who_leaves_after_a_filter_of_all_threads", NEEDS, || {
            left(&FILTER_OF_ALL)
        }),
        support::test("record_follows_who_mounts_the_hierarchy_and_leaves", NEEDS, || left(&BY_A_MOUNT)),
        support::test("record_follows_who_changes_its_root_and_leaves", NEEDS, || left(&ANOTHER_ROOT)),
        support::test("record_follows_who_was_brought_in_and_leaves", NEEDS, brought_in),
        support::test("record_by_two_at_once_follows_who_leaves", NEEDS, by_two),
        support::test("record_follows_who_leaves_without_a_namespace_of_its_own", NEEDS, || {
            left(&NO_NAMESPACE)
        }),
        support::test("record_follows_who_leaves_without_a_filter", NEEDS, || left(&UNCONFINED)),
        support::test("record_follows_who_leaves_without_a_filter_or_namespace", NEEDS, || {
            left(&NOTHING_OF_ITS_OWN)
        }),
        support::test("record_that_sleeps_follows_who_leaves", NEEDS, || {
            slept_all_along(&BY_A_VOLUME)?;
            slept_meanwhile(&NOTHING_OF_ITS_OWN)
        }),
        support::test("record_that_sleeps_follows_who_leaves_by_any_way", NEEDS, || {
            WAYS.iter().try_for_each(|way| slept_all_along(way).and_then(|()| slept_meanwhile(way)))
        })
        .only_in_full(),
        support::test("record_keeps_strangers_out_of_a_container", NEEDS, stranger),
        support::test("record_tells_two_containers_in_one_cgroup_apart", NEEDS, || two_in_one("", 0)),
        support::test("record_tells_what_may_hide_behind_another_container", NEEDS, || {
            two_in_one("thread", 2)
        }),
    ]
}

fn whole(recording: &Recording) -> Result<()> {
    ensure!(recording.lost == Lost::default(), "{:?}", recording.lost);
    Ok(())
}

/// A container that leaves its cgroup, and its recorder.
struct Leaving {
    place: Place,
    container: Container,
    recorder: Recorder,
}

impl Leaving {
    fn new() -> Result<Self> {
        let (place, container) = (Place::new()?, Container::named("leaving"));
        let arguments = ["--wait", "--container", &container.name, "--recording", "{}/r.json", "--strict"];
        let recorder = Recorder::ready(&arguments)?;
        Ok(Self { place, container, recorder })
    }

    /// It takes these steps, gets out, makes a call, takes those, and goes on.
    fn start(&self, before: &str, way: &Way, meanwhile: &str) -> Result<()> {
        let root = Hierarchy::find()?.directory("/").display().to_string();
        let steps = format!("{before} {} {}", way.steps.replace("{root}", &root), outside(meanwhile));
        self.place.start(&self.container, way.options, &steps)
    }

    fn ends(&self) -> Result<()> {
        self.container.ends_well()?;
        self.container.remove()
    }

    /// All that it did is recorded, and told.
    fn ensure_recorded(mut self, way: &Way) -> Result<()> {
        self.recorder.ends_with(way.code)?;
        let recording = self.recorder.recording("r.json")?;
        whole(&recording)?;
        ensure!(!self.recorder.said().contains("from elsewhere"), "{}", self.recorder.said());
        self.recorder.ensure_said("processes of it left its cgroup (1: steps)")?;
        ensure_calls(&recording, Origin::Application, &OUTSIDE, &["pivot_root"])
    }
}

fn left(way: &Way) -> Result<()> {
    let leaving = Leaving::new()?;
    leaving.start("", way, "")?;
    leaving.ends()?;
    leaving.ensure_recorded(way)
}

/// The recorder is stopped in the container's whole life.
fn slept_all_along(way: &Way) -> Result<()> {
    let leaving = Leaving::new()?;
    leaving.recorder.signal(Signal::STOP)?;
    leaving.start("", way, "")?;
    leaving.ends()?;
    leaving.recorder.signal(Signal::CONT)?;
    leaving.ensure_recorded(way)
}

/// The recorder is stopped while the container leaves, which goes on outside afterwards.
fn slept_meanwhile(way: &Way) -> Result<()> {
    let leaving = Leaving::new()?;
    // By the path that it has under another root as well.
    leaving.start("say up until /s/go", way, "say out until {}/on")?;
    leaving.container.until_said("up")?;
    leaving.recorder.signal(Signal::STOP)?;
    leaving.place.say("go")?;
    leaving.container.until_said("out")?;
    leaving.recorder.signal(Signal::CONT)?;
    leaving.place.say("on")?;
    leaving.ends()?;
    leaving.ensure_recorded(way)
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
    let exact = ["--security-opt", EXACT];
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
    let exact = ["--security-opt", EXACT];
    place.start(&container, &exact, "say up until /s/go")?;
    container.until_said("up")?;
    let steps = format!("move /cg {}", outside(""));
    let words = ["exec", container.name.as_str(), "/s/steps"];
    docker(&words.into_iter().chain(steps.split_whitespace()).collect::<Vec<_>>())?;
    place.say("go")?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("r.json")?;
    whole(&recording)?;
    ensure_calls(&recording, Origin::Application, &[], &OUTSIDE)?;
    ensure_calls(&recording, Origin::Joined, &OUTSIDE, &[])
}

/// Each has a kernel program of its own.
fn by_two() -> Result<()> {
    let (place, container) = (Place::new()?, Container::named("by-two"));
    let arguments = ["--wait", "--container", &container.name, "--recording", "{}/r.json", "--strict"];
    let mut recorders = [Recorder::ready(&arguments)?, Recorder::ready(&arguments)?];
    let exact = ["--security-opt", EXACT];
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
/// Between the move and the news of it another thread of the one that moves may make calls that the other one has told: then its recording
/// is incomplete, and the command fails.
fn two_in_one(before: &str, code: i32) -> Result<()> {
    let place = Place::new()?;
    let prefix = crate::container_matrix::container::unused_name("two");
    let container = |name: &str| Container { name: format!("{prefix}-{name}") };
    let (victim, other) = (container("victim"), container("other"));
    let glob = format!("{prefix}-*");
    let mut recorder = Recorder::ready(&["--container", &glob, "--recording-dir", "{}"])?;
    let exact = ["--security-opt", EXACT];
    place.start(&victim, &exact, &format!("call {GETSID} say up until /s/go"))?;
    victim.until_said("up")?;
    let into = format!("{before} move /cg{} call {GETSID} call {GETITIMER}", cgroup_of(&victim)?);
    place.start(&other, &exact, &into)?;
    other.ends_well()?;
    place.say("go")?;
    victim.ends_well()?;
    victim.remove()?;
    other.remove()?;
    recorder.signal(Signal::INT)?;
    recorder.ends_with(code)?;
    let recording = |container: &Container| recorder.recording(&format!("{}.recording.json", container.name));
    let moved = recording(&other)?;
    ensure_calls(&moved, Origin::Application, &["getsid", "getitimer"], &[])?;
    ensure!((moved.lost.syscalls > 0) == (code != 0), "{:?}", moved.lost);
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
