//! All CPUs make every harmless number of all ABIs as fast as they can, with the smallest ring buffer: what is
//! recorded is complete, what the live news lost is told, and a neighbour loses nothing.

use crate::{
    common::{Cgroup, NATIVE, Recorder, TestEnv, bare, eventually, expect, numbers, preempts, stderr},
    support::{self, Need, Running, Trial, flood, safe_syscalls::CALLABLE},
};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use seccomp_trace::{
    abi::Abi,
    recording::{Lost, Recording},
};
use std::{
    collections::BTreeSet,
    process::{Command, Output},
    thread::available_parallelism,
    time::{Duration, Instant},
};

const SMALLEST: [&str; 2] = ["--ring-buffer", "4096"];
const SECONDS: &str = "3";
/// For all that a flood of a few seconds takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
/// What seccomp-trace may take for its tables and four recordings of a flood.
const MEMORY: u64 = 128 << 20;

type Calls = BTreeSet<(Abi, u32)>;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::exclusive("a_flood_of_every_harmless_number_is_recorded_whole", needs, whole),
        support::exclusive("what_a_flood_lost_of_the_news_is_counted", needs, counted),
        support::exclusive("a_flood_beyond_what_can_be_kept_is_loudly_incomplete", needs, beyond),
        support::exclusive(
            "floods_at_once_take_nothing_from_each_other_and_from_a_neighbour",
            needs,
            neighbours,
        ),
    ]
}

/// More processes than CPUs, each with two threads.
fn processes() -> Result<String> {
    Ok((available_parallelism()?.get() * 2).to_string())
}

/// The program, where nobody may go.
fn program(case: &TestEnv, name: &str, calls: &Calls) -> Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(case.folder.path(), std::fs::Permissions::from_mode(0o755))?;
    flood::program(case.folder.path(), name, calls)
}

/// All of `calls` are in the recording, and no others but those of the program around the flood.
fn has_all(recording: &Recording, calls: &Calls) -> Result<()> {
    let seen: Calls = CALLABLE
        .iter()
        .copied()
        .flat_map(|abi| numbers(recording, abi).into_iter().map(move |n| (abi, n)))
        .collect();
    let missing: Vec<_> = calls.difference(&seen).collect();
    ensure!(missing.is_empty(), "{} are missing: {:?}", missing.len(), missing.get(..20).unwrap_or(&missing));
    let others: Vec<_> =
        seen.difference(calls).filter(|(abi, n)| *abi != NATIVE || abi.name(*n).is_none()).collect();
    ensure!(others.is_empty(), "nobody made {others:?}");
    Ok(())
}

fn untold(recording: &Recording) -> u64 {
    recording.syscalls.values().flatten().filter(|call| call.first_seen.is_none()).count() as u64
}

/// A second of it makes a number hundreds of times, so that in the end most news has found its place.
fn whole() -> Result<()> {
    let (case, calls) = (TestEnv::new()?, flood::calls(0));
    let flood = program(&case, "flood", &calls)?;
    let run = |options: &[&str]| -> Result<Output> {
        let options = [&SMALLEST, &["--user", "nobody"], options].concat();
        let running = case.start(&options, &[&flood, &processes()?, SECONDS])?;
        let began = Instant::now();
        let output = running.finish(LIMIT)?;
        ensure!(began.elapsed() < Duration::from_secs(30), "it took {:?}", began.elapsed());
        case.is_clean()?;
        Ok(output)
    };
    let output = run(&[])?;
    expect(&output, 0, &["numbers without a name"])?;
    let recording = case.recording()?;
    has_all(&recording, &calls)?;
    ensure!(recording.lost == Lost { events: untold(&recording), ..Lost::default() }, "{:?}", recording.lost);
    ensure!(
        recording.lost.events == 0 || stderr(&output).contains("events were lost"),
        "{}",
        stderr(&output)
    );
    Ok(())
}

/// Nobody reads the news while the flood lasts: what the ring buffer holds is told, and all else is lost.
fn counted() -> Result<()> {
    let (calls, cgroup) = (flood::calls(0), Cgroup::create()?);
    for (options, code) in [(&[][..], 0), (&["--strict"], 125)] {
        let case = TestEnv::new()?;
        let flood = program(&case, "flood", &calls)?;
        let script = format!("until [ -e {}/go ]; do sleep 0.02; done", case.folder.path().display());
        let options = [&SMALLEST, options].concat();
        let recorder =
            Recorder::start_with(&case, &["--cgroup", &cgroup.path], &options, &["sh", "-c", &script])?;
        recorder.running.signal(Signal::STOP)?;
        let status = format!("/proc/{}/status", recorder.running.pid().as_raw_nonzero());
        eventually("it is stopped", || {
            std::fs::read_to_string(&status).ok()?.contains("State:\tT").then_some(())
        })?;
        let mut command = Command::new(&flood);
        let output = Running::start(command.args([&processes()?, "0.5", &cgroup.procs()]))?.finish(LIMIT)?;
        expect(&output, 0, &[])?;
        recorder.running.signal(Signal::CONT)?;
        std::fs::write(case.folder.path().join("go"), "")?;
        let output = recorder.running.finish(LIMIT)?;
        let recording = case.recording()?;
        has_all(&recording, &calls)?;
        let events = untold(&recording);
        ensure!(recording.lost == Lost { events, ..Lost::default() }, "{:?}, not {events}", recording.lost);
        // An event and its header are 56 bytes.
        ensure!(calls.len() as u64 - events < 4096 / 56, "{events} of {} are lost", calls.len());
        expect(&output, code, &[&format!("{events} events were lost")])?;
    }
    Ok(())
}

/// One number more than can be kept.
fn beyond() -> Result<()> {
    let (case, calls) = (TestEnv::new()?, flood::calls(1));
    let flood = program(&case, "flood", &calls)?;
    let words = [flood.as_str(), &processes()?, "1"];
    let options = [&SMALLEST[..], &["--user", "nobody"]].concat();
    let output = case.finish(case.start(&options, &words)?)?;
    expect(&output, 125, &["syscalls are lost, the recording is incomplete"])?;
    let recording = case.recording()?;
    ensure!(recording.is_incomplete());
    let below = calls.iter().copied().filter(|(_, number)| *number < 512).collect();
    let missing = calls.len()
        - CALLABLE
            .iter()
            .map(|abi| numbers(&recording, *abi).intersection(&of(&calls, *abi)).count())
            .sum::<usize>();
    ensure!(missing == 1, "{missing} of {} are missing", calls.len());
    has_all_below(&recording, &below)
}

fn of(calls: &Calls, abi: Abi) -> BTreeSet<u32> {
    calls.iter().filter(|(its, _)| *its == abi).map(|(_, number)| *number).collect()
}

fn has_all_below(recording: &Recording, calls: &Calls) -> Result<()> {
    for abi in CALLABLE.iter().copied() {
        ensure!(numbers(recording, abi).is_superset(&of(calls, abi)), "{abi}: a number below 512 is missing");
    }
    Ok(())
}

/// Four floods in four cgroups, and beside them a program that makes each call once.
fn neighbours() -> Result<()> {
    let (case, calls) = (TestEnv::new()?, flood::calls(0));
    let flood = program(&case, "flood", &calls)?;
    let quiet = bare(
        &case,
        "quiet",
        "for (long n = 440; n < 512; n++) call(n, -1, -1, -1);
        call(4000, 0, 0, 0);
#if defined __x86_64__
        call_compat(20); call(0x40000000 | 39, 0, 0, 0);
#endif
",
    )?;
    let floods = (0..4).map(|_| Cgroup::create()).collect::<Result<Vec<_>>>()?;
    let neighbour = Cgroup::create()?;
    let targets: Vec<_> =
        floods.iter().chain([&neighbour]).flat_map(|cgroup| ["--cgroup", &cgroup.path]).collect();
    let folder = case.folder.path().display().to_string();
    let options = [&SMALLEST[..], &["--recording-dir", &folder]].concat();
    let recorder = Recorder::start_at(&case, &targets, &options, &[])?;
    let running = floods
        .iter()
        .map(|cgroup| Running::start(Command::new(&flood).args([&processes()?, SECONDS, &cgroup.procs()])))
        .collect::<Result<Vec<_>>>()?;
    // In the midst of it.
    std::thread::sleep(Duration::from_secs(1));
    let script = "echo 0 >\"$1\" && exec \"$2\"";
    let mut command = Command::new("sh");
    expect(
        &Running::start(command.args(["-c", script, "sh", &neighbour.procs(), &quiet]))?.finish(LIMIT)?,
        0,
        &[],
    )?;
    for flood in running {
        expect(&flood.finish(LIMIT)?, 0, &[])?;
    }
    let memory = peak(recorder.running.pid().as_raw_nonzero().get())?;
    ensure!(memory < MEMORY, "it has taken {memory} bytes");
    recorder.running.signal(Signal::INT)?;
    let output = recorder.running.finish(LIMIT)?;
    let missed_runs = recording(&case, &neighbour)?.lost.missed_runs;
    // Some kernels preempt the programs at forks and ends as well, and skip some of them in such a crowd: never silently.
    ensure!(missed_runs == 0 || preempts()?, "{missed_runs} missed runs: {}", stderr(&output));
    let skipped = format!("skipped its tracing {missed_runs} times");
    if missed_runs == 0 {
        expect(&output, 0, &[])?
    } else {
        expect(&output, 2, &[&skipped])?
    }
    for cgroup in &floods {
        let recording = recording(&case, cgroup)?;
        has_all(&recording, &calls)?;
        ensure!(
            recording.lost == Lost { events: untold(&recording), missed_runs, ..Lost::default() },
            "{:?}",
            recording.lost
        );
    }
    let recording = recording(&case, &neighbour)?;
    let ends = NATIVE.number("exit_group");
    let expected: BTreeSet<u32> = (440..512).chain([4000]).chain(ends).collect();
    let native = numbers(&recording, NATIVE);
    let missing: Vec<_> = expected.difference(&native).collect();
    ensure!(missing.is_empty(), "{missing:?} are missing");
    ensure!(native.iter().all(|number| expected.contains(number) || *number < 440), "{native:?}");
    #[cfg(target_arch = "x86_64")]
    ensure!(numbers(&recording, Abi::I386) == [20].into() && numbers(&recording, Abi::X32) == [39].into());
    ensure!(
        recording.lost.syscalls == 0 && recording.lost.events == untold(&recording),
        "{:?}",
        recording.lost
    );
    Ok(())
}

fn recording(case: &TestEnv, cgroup: &Cgroup) -> Result<Recording> {
    let name = cgroup.path.trim_start_matches('/').replace('/', "_");
    Ok(Recording::read(&case.folder.path().join(format!("{name}.recording.json")))?)
}

/// The most memory that a process ever had, in bytes.
fn peak(pid: i32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}
