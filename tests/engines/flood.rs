//! Containers that make every harmless number of all ABIs from all CPUs at once, with the smallest ring buffer: each is
//! recorded whole, and a quiet one beside them is as well.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use seccomp_trace::abi::Abi;
use seccomp_trace::recording::{BoundaryMethod, Lost, Origin, Recording};

use crate::container_matrix::command;
use crate::container_matrix::container::unused_name;
use crate::recorder::{Container, IMAGE, PATIENCE, Recorder, docker, ensure_calls, image};
use crate::support::{self, Need, Trial, flood};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Cc];
const FLOODS: usize = 3;

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![support::exclusive("record_floods_of_calls_whole_and_a_quiet_one_beside_them", NEEDS, floods)]
}

fn floods() -> Result<()> {
    image()?;
    let (folder, calls) = (support::temp_dir()?, flood::calls(0));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    flood::program(folder.path(), "flood", &calls)?;
    let tracing = folder.path().join("tracing.json");
    fs::write(&tracing, command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    let prefix = unused_name("flood");
    let glob = format!("{prefix}-*");
    let mut recorder = Recorder::ready(&[
        "--container",
        &glob,
        "--output-dir",
        "{}",
        "--recording-dir",
        "{}",
        "--ring-buffer",
        "4096",
    ])?;

    let security = format!("seccomp={}", tracing.display());
    let volume = format!("{}:/flood:ro", folder.path().display());
    let threads = (available_parallelism()?.get() * 2).to_string();
    let began = Instant::now();
    let containers: Vec<_> =
        (0..FLOODS).map(|number| Container { name: format!("{prefix}-{number}") }).collect();
    for container in &containers {
        let run =
            ["run", "--detach", "--network", "none", "--name", &container.name, "--security-opt", &security];
        let tight = ["--user", "65534:65534", "--cap-drop", "ALL", "--volume", &volume];
        docker(&[&run[..], &tight, &[IMAGE, "/flood/flood", &threads, "5"]].concat())?;
    }
    let quiet = Container { name: format!("{prefix}-quiet") };
    quiet.start(&["--security-opt", &security], "mkdir /x && chmod 700 /x && rmdir /x && echo done")?;
    for container in containers.iter().chain([&quiet]) {
        container.ends_well()?;
    }
    ensure!(began.elapsed() < Duration::from_secs(60), "it took {:?}", began.elapsed());
    recorder.signal(Signal::INT)?;
    recorder.ends_with(0)?;

    for container in &containers {
        let recording = recorder.recording(&format!("{}.recording.json", container.name))?;
        is_whole(&recording, &calls).context(container.name.clone())?;
        let profile = fs::read_to_string(recorder.path(&format!("{}.json", container.name)))?;
        ensure!(Abi::HOST.iter().all(|abi| profile.contains(abi.seccomp_arch())), "{profile}");
    }
    let recording = recorder.recording(&format!("{}.recording.json", quiet.name))?;
    ensure_calls(&recording, Origin::Application, &["mkdir", "chmod", "rmdir", "exit_group"], &["mount"])?;
    ensure_calls(&recording, Origin::Runtime, &["execve"], &["mkdir"])?;
    is_counted(&recording)?;
    ensure!(recording.syscalls.keys().eq([&Abi::X86_64]), "{:?}", recording.syscalls.keys());
    recorder.ensure_said("numbers without a name")
}

fn is_whole(recording: &Recording, calls: &BTreeSet<(Abi, u32)>) -> Result<()> {
    ensure!(
        recording.boundary.method == BoundaryMethod::Filter && recording.finished,
        "{:?}",
        recording.boundary
    );
    let seen: BTreeSet<_> = recording
        .syscalls
        .iter()
        .flat_map(|(abi, calls)| calls.iter().map(move |call| (*abi, call)))
        .filter(|(_, call)| call.origins.contains(&Origin::Application))
        .map(|(abi, call)| (abi, call.number))
        .collect();
    let missing: Vec<_> = calls.difference(&seen).collect();
    ensure!(missing.is_empty(), "{missing:?} are missing");
    is_counted(recording)
}

/// No call is lost, and as many events as are missing: of a call that both the runtime and the application made there
/// are two, and one of them may be.
fn is_counted(recording: &Recording) -> Result<()> {
    let calls = || recording.syscalls.values().flatten();
    let untold = calls().filter(|call| call.first_seen.is_none()).count() as u64;
    let of_two = calls().filter(|call| call.origins.len() > 1).count() as u64;
    let Lost { events, syscalls, task_origins, denials, missed_runs } = recording.lost;
    ensure!(
        (untold..=untold + of_two).contains(&events),
        "{events} events, {untold} calls without, {of_two}"
    );
    ensure!(syscalls + task_origins + denials + missed_runs == 0, "{:?}", recording.lost);
    Ok(())
}
