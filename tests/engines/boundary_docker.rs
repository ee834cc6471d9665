//! From where on a call counts in Docker's containers, whatever they are started as: what the application is told to
//! call is all that counts as its own, and all else is known of the runtime.

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::recording::{BoundaryMethod, Origin, Recording};

use crate::container_matrix::command;
use crate::container_matrix::container::unused_name;
use crate::marker::{self, ensure_application_is, ensure_runtime_is_measured, origins, word};
use crate::recorder::{PATIENCE, Recorder, docker};
use crate::support::{self, Need, Trial};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Cc];
/// Races between the runtime's processes show in one start of ten.
const TURNS: usize = 10;
const IMAGE: &str = "seccomp-trace-test-marker";

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    let filter = |name, options: &'static [&'static str]| {
        support::test(name, NEEDS, || starts(options, BoundaryMethod::Filter))
    };
    vec![
        filter("boundary_under_the_default_profile", &[]),
        filter("boundary_of_another_user", &["--user", "1234:1234"]),
        filter("boundary_with_no_new_privileges", &["--security-opt", "no-new-privileges"]).only_in_full(),
        filter(
            "boundary_of_another_user_with_no_new_privileges",
            &["--user", "1234", "--security-opt", "no-new-privileges"],
        )
        .only_in_full(),
        filter("boundary_in_the_hosts_pid_namespace", &["--pid=host"]),
        filter("boundary_with_every_capability", &["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"])
            .only_in_full(),
        support::test("boundary_unconfined", NEEDS, || {
            starts(&["--security-opt", "seccomp=unconfined"], BoundaryMethod::Estimated)
        }),
        support::test("boundary_unconfined_in_the_hosts_pid_namespace", NEEDS, || {
            starts(&["--security-opt", "seccomp=unconfined", "--pid=host"], BoundaryMethod::Estimated)
        })
        .only_in_full(),
        support::test("a_filter_of_its_own_moves_no_boundary", NEEDS, own_filters),
        support::test("docker_exec_is_told_apart_in_both_orders", NEEDS, execs),
        support::test("exclude_joined_keeps_what_the_service_called_too", NEEDS, excluded),
        support::test("a_health_check_can_be_left_out", NEEDS, health),
    ]
}

/// An image of the marker program alone.
pub fn image() -> Result<&'static str> {
    static MADE: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    let made = MADE.get_or_init(|| make_image().map_err(|error| format!("{error:#}")));
    made.clone().map_err(|error| anyhow::anyhow!(error))?;
    Ok(IMAGE)
}

fn make_image() -> Result<()> {
    let folder = support::temp_dir()?;
    marker::compile(&folder.path().join("marker"))?;
    let archive = folder.path().join("image.tar");
    let mut tar = std::process::Command::new("tar");
    command::output(tar.arg("-cf").arg(&archive).arg("-C").arg(folder.path()).arg("marker"), PATIENCE)?;
    docker(&["import", archive.to_str().context("not UTF-8")?, IMAGE]).map(drop)
}

/// A recording of one container, that runs while `meanwhile` does something with it.
struct Recorded {
    recorder: Recorder,
    name: String,
}

impl Recorded {
    fn start(options: &[&str], words: &[&str]) -> Result<Self> {
        Self::start_with(&[], options, words)
    }

    fn start_with(ours: &[&str], options: &[&str], words: &[&str]) -> Result<Self> {
        let name = unused_name("boundary");
        let places = ["-o", "{}/profile.json", "--recording", "{}/recording.json"];
        let recorder = Recorder::ready(&[&["--wait", "--container", &name], &places[..], ours].concat())?;
        let run = ["run", "--detach", "--network", "none", "--name", &name];
        docker(&[&run, options, &[image()?, "/marker"], words].concat())?;
        Ok(Self { recorder, name })
    }

    /// Ends the container, or waits for its end, and reads the recording.
    fn end(&mut self, kills: bool) -> Result<Recording> {
        if kills {
            docker(&["kill", &self.name])?;
        }
        let code = docker(&["wait", &self.name])?;
        ensure!(code.trim() == if kills { "137" } else { "0" }, "{code}");
        docker(&["rm", "--force", &self.name])?;
        self.recorder.ends_with(0)?;
        self.recorder.recording("recording.json")
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        docker(&["rm", "--force", &self.name]).ok();
    }
}

/// It was found so, from the first call on, with nothing lost.
pub fn ensure_boundary(recording: &Recording, method: BoundaryMethod) -> Result<()> {
    let boundary = recording.boundary;
    ensure!(boundary.method == method && !boundary.attached_late, "{boundary:?}");
    ensure!(recording.lost == Default::default(), "{:?}", recording.lost);
    // Nothing here is what a profile denies.
    ensure!(recording.denied.as_ref().is_some_and(|denied| denied.is_empty()), "{:?}", recording.denied);
    Ok(())
}

fn starts(options: &[&str], method: BoundaryMethod) -> Result<()> {
    for turn in 0..support::turns(TURNS) {
        // It forks and executes once more, as a shell does.
        let (own, second) = (word("getpriority")?, word("times")?);
        let words = ["fork", &own, "exec", "/marker", &second];
        let recording = Recorded::start(options, &words)?.end(false)?;
        let said = || format!("turn {turn}: {:?}", recording.syscalls);
        ensure_boundary(&recording, method).with_context(said)?;
        let expected = ["fork", "wait4", "getpriority", "execve", "times", "exit_group"];
        ensure_application_is(&recording, &expected).with_context(said)?;
        ensure_runtime_is_measured(&recording, "runc", &[]).with_context(said)?;
        if method == BoundaryMethod::Filter {
            ensure!(!origins(&recording, "execve").is_empty());
        }
    }
    Ok(())
}

/// All calls count before and after a filter of the program's own, by either call, and nothing of the runtime's more.
fn own_filters() -> Result<()> {
    let tracing = support::temp_dir()?;
    let profile = tracing.path().join("tracing.json");
    std::fs::write(&profile, command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    let under_tracing = format!("seccomp={}", profile.display());
    let ways = [
        (&["--security-opt", "seccomp=unconfined"][..], BoundaryMethod::Estimated),
        (&[], BoundaryMethod::Filter),
        (&["--security-opt", &under_tracing], BoundaryMethod::Filter),
    ];
    for (options, method) in ways {
        for turn in 0..support::turns(TURNS) {
            let (before, after, then) = (word("getpriority")?, word("getitimer")?, word("times")?);
            // By both ways, twice; and what it executes under its filter is its own as well.
            let words = [&before, "filter", &after, "old-filter", "fork", "exec", "/marker", &then];
            let recording = Recorded::start(options, &words)?.end(false)?;
            let said = || format!("{options:?}, turn {turn}: {:?}", recording.syscalls);
            ensure_boundary(&recording, method).with_context(said)?;
            let calls = ["getpriority", "prctl", "seccomp", "getitimer", "fork", "wait4", "execve", "times"];
            ensure_application_is(&recording, &[&calls[..], &["exit_group"]].concat()).with_context(said)?;
            ensure_runtime_is_measured(&recording, "runc", &[]).with_context(said)?;
        }
    }
    Ok(())
}

/// What joined first is told as both when the service calls it too; the other way round nobody looks any more.
fn execs() -> Result<()> {
    use Origin::{Application, Joined};
    for options in [&[][..], &["--user", "1234"], &["--security-opt", "no-new-privileges"], &["--pid=host"]] {
        for turn in 0..support::turns(TURNS / 2) {
            let (early, late) = (word("getpriority")?, word("getitimer")?);
            let mut recorded = Recorded::start(options, &[&early, "wait"])?;
            let (own, last) = (word("times")?, word("getsid")?);
            let exec = ["exec", &recorded.name, "/marker", &early, &late, &own, "filter", &last];
            docker(&exec)?;
            let recording = recorded.end(true)?;
            let said = || format!("{options:?}, turn {turn}: {:?}", recording.syscalls);
            ensure_boundary(&recording, BoundaryMethod::Filter).with_context(said)?;
            ensure_application_is(&recording, &["getpriority", "pause"]).with_context(said)?;
            for marker in ["getitimer", "times", "getsid", "seccomp"] {
                ensure!(origins(&recording, marker) == [Joined], "{marker}, turn {turn}");
            }
            // Documented: once the application has made a call, nobody looks who else does.
            ensure!(origins(&recording, "getpriority") == [Application]);
            ensure_runtime_is_measured(&recording, "runc", &[]).with_context(said)?;
        }
    }
    Ok(())
}

/// A shell of the service makes a call only after `docker exec` has made it: both are kept, and the call stays.
fn excluded() -> Result<()> {
    use Origin::{Application, Joined};
    let name = unused_name("excluded");
    let places = ["-o", "{}/profile.json", "--recording", "{}/recording.json", "--exclude-joined"];
    let mut recorder = Recorder::ready(&[&["--wait", "--container", &name], &places[..]].concat())?;
    let script = "trap 'chmod 700 /bin; exit' TERM; umask 22; echo up; while :; do sleep 0.05; done";
    let container = crate::recorder::Container { name };
    container.start(&[], script)?;
    container.until_said("up")?;
    docker(&["exec", &container.name, "sh", "-c", "mkdir /x; chmod 755 /bin; umask 22"])?;
    docker(&["kill", "--signal", "TERM", &container.name])?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    ensure!(origins(&recording, "mkdir") == [Joined]);
    ensure!(origins(&recording, "chmod") == [Application, Joined], "{:?}", origins(&recording, "chmod"));
    ensure!(origins(&recording, "umask") == [Application], "{:?}", origins(&recording, "umask"));
    let without = std::fs::read_to_string(recorder.path("profile.json"))?;
    ensure!(without.contains("\"chmod\"") && without.contains("\"umask\"") && !without.contains("\"mkdir\""));
    // The recording has all, and `generate` decides anew.
    for (options, has_mkdir) in [(&[][..], true), (&["--exclude-joined"][..], false)] {
        let mut generate = support::program();
        generate.arg("generate").args(options).arg(recorder.path("recording.json"));
        let profile = command::output(&mut generate, PATIENCE)?;
        ensure!(profile.contains("\"mkdir\"") == has_mkdir, "{profile}");
    }
    // The service starts and works under it; what joins does not all it wants.
    let option = format!("seccomp={}", recorder.path("profile.json").display());
    let again = crate::recorder::Container::named("excluded-again");
    again.start(&["--security-opt", &option], script)?;
    again.until_said("up")?;
    ensure!(docker(&["exec", &again.name, "sh", "-c", "mkdir /x"]).is_err(), "mkdir is allowed");
    docker(&["kill", "--signal", "TERM", &again.name])?;
    again.ends_well()
}

/// Docker's own health check is one that joined.
fn health() -> Result<()> {
    crate::recorder::image()?;
    let name = unused_name("health");
    let places = ["-o", "{}/profile.json", "--recording", "{}/recording.json", "--exclude-joined"];
    let mut recorder = Recorder::ready(&[&["--wait", "--container", &name], &places[..]].concat())?;
    let container = crate::recorder::Container { name };
    let check = ["--health-cmd", "mkdir -p /health && rmdir /health", "--health-interval", "1s"];
    container.start(&check, "trap exit TERM; while :; do sleep 0.05; done")?;
    command::until(PATIENCE, "a health check", || {
        let health = docker(&["inspect", "--format", "{{.State.Health.Status}}", &container.name])?;
        Ok((health.trim() == "healthy").then_some(()))
    })?;
    docker(&["kill", "--signal", "TERM", &container.name])?;
    container.ends_well()?;
    container.remove()?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    for call in ["mkdir", "rmdir"] {
        ensure!(origins(&recording, call) == [Origin::Joined], "{call}: {:?}", origins(&recording, call));
        let profile = std::fs::read_to_string(recorder.path("profile.json"))?;
        ensure!(!profile.contains(&format!("\"{call}\"")), "{call} is in: {profile}");
    }
    Ok(())
}
