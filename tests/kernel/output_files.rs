//! Output files that somebody else has, or has planted, or that are better than the new ones; and results that have no place.

use crate::{
    common::{Cgroup, LIMIT, Recorder, TestEnv, bare, eventually, expect, stderr},
    support::{self, Need, Running, Trial},
};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::Recording;
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Another user.
const STRANGER: u32 = 65534;

pub fn tests() -> Vec<Trial> {
    let kernel = &[Need::Kernel];
    vec![
        support::test(
            "a_second_recorder_of_a_file_is_refused_with_the_first_ones_process",
            kernel,
            second_recorder,
        ),
        support::test("of_recorders_that_start_at_once_one_has_the_file", kernel, at_once),
        support::test("a_killed_runs_checkpoint_is_kept_by_the_next_one", &[Need::Kernel, Need::Cc], killed),
        support::test("nothing_of_a_strangers_is_followed_or_opened_in_his_folder", kernel, his_folder),
        support::test("what_is_planted_while_it_records_costs_no_recording", kernel, planted),
        support::test("a_folder_for_results_is_made", kernel, folders),
        support::test("a_second_target_of_one_file_is_told_at_once", kernel, second_target),
        support::test("a_worse_recording_replaces_a_better_one_never_in_silence", kernel, worse),
    ]
}

fn temporary(case: &TestEnv) -> Result<PathBuf> {
    let folder = case.folder.path().join("temporary");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The files that were put where there was room.
fn elsewhere(case: &TestEnv) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in fs::read_dir(temporary(case)?)? {
        let folder = folder?.path();
        let mode = fs::metadata(&folder)?.mode() & 0o777;
        ensure!(mode == 0o700, "{}: {mode:o}", folder.display());
        files.extend(fs::read_dir(folder)?.flatten().map(|file| file.path()));
    }
    files.sort();
    Ok(files)
}

fn refused(case: &TestEnv, words: &[&str], said: &[&str]) -> Result<()> {
    let started = case.file("started");
    let words = [words, &["--", "touch", &started]].concat();
    let output = support::run_with_timeout(&mut case.program(&words), LIMIT)?;
    expect(&output, 125, said).with_context(|| format!("{words:?}"))?;
    ensure!(!Path::new(&started).exists(), "{words:?} has started COMMAND");
    Ok(())
}

fn second_recorder() -> Result<()> {
    let case = TestEnv::new()?;
    let first = Recorder::start(&case, &["--cgroup", &case.home.path], &[])?;
    let process = format!("(process {})", first.running.pid().as_raw_nonzero());
    let (profile, recording) = (case.file("profile.json"), case.file("recording.json"));
    symlink("profile.json", case.file("link"))?;
    let other = case.file("other.json");
    for words in [
        &["run", "-o", &profile][..],
        &["run", "-o", "profile.json"],
        &["run", "-o", &case.file("link")],
        &["run", "-o", &other, "--recording", &recording],
        &["record", "--cgroup", "/no", "-o", &other, "--recording", &recording],
    ] {
        refused(&case, words, &["another seccomp-trace is writing it", &process])?;
    }
    // One beside it is another matter.
    let beside = support::run_with_timeout(&mut case.program(["run", "-o", &other, "--", "true"]), LIMIT)?;
    expect(&beside, 0, &[])?;
    first.running.signal(Signal::KILL)?;
    first.finish()?;
    expect(&support::run_with_timeout(&mut case.run_command(&[], &["true"]), LIMIT)?, 0, &[])?;
    for name in case.files()? {
        let known = ["profile.json", "recording.json", "other.json", "link", "recording.json.partial"];
        ensure!(known.contains(&name.as_str()), "{name} is left");
    }
    Ok(())
}

fn at_once() -> Result<()> {
    let case = TestEnv::new()?;
    let all: Vec<_> = (0..4).map(|_| case.start(&[], &["sleep", "3"])).collect::<Result<_>>()?;
    let ended: Vec<Output> = all.into_iter().map(|one| one.finish(LIMIT)).collect::<Result<_>>()?;
    let codes: Vec<_> = ended.iter().map(|output| output.status.code()).collect();
    let count = |code| codes.iter().filter(|its| **its == Some(code)).count();
    ensure!(
        count(0) == 1 && count(125) == codes.len() - 1,
        "{codes:?}: {}",
        ended.iter().map(stderr).collect::<String>()
    );
    case.is_clean()
}

fn killed() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "rare", "call(__NR_getitimer, 0, 0, 0);")?;
    let script = format!("{program}; exec sleep 60");
    let partial = case.folder.path().join("recording.json.partial");
    let second = case.folder.path().join("recording.json.2.partial");
    let running = case.start(&[], &["sh", "-c", &script])?;
    eventually("a checkpoint with the call", || {
        fs::read_to_string(&partial).ok()?.contains("getitimer").then_some(())
    })?;
    running.signal(Signal::KILL)?;
    running.finish(LIMIT)?;
    let kept = fs::read(&partial)?;

    let running = case.start(&[], &["sh", "-c", "until [ -e go ]; do sleep 0.02; done"])?;
    eventually("a checkpoint of the next one", || Recording::read(&second).ok())?;
    ensure!(fs::read(&partial)? == kept, "the killed one's checkpoint has changed");
    fs::write(case.file("go"), "")?;
    let output = running.finish(LIMIT)?;
    let how = format!("generate --allow-incomplete {}", partial.display());
    expect(&output, 0, &["a run that was killed has left a checkpoint, which is kept", &how])?;
    ensure!(fs::read(&partial)? == kept && !second.exists(), "{:?}", case.files()?);
    ensure!(case.recording()?.finished);
    Ok(())
}

/// Root writes into a folder that is another user's, or that another user may write.
fn his_folder() -> Result<()> {
    let case = TestEnv::new()?;
    let (his, victim) = (case.file("his"), case.file("victim"));
    let file = |name: &str| format!("{his}/{name}");
    fs::create_dir(&his)?;
    fs::create_dir(&victim)?;
    fs::write(format!("{victim}/secret"), "root's own")?;
    symlink(format!("{victim}/secret"), file("link"))?;
    symlink(format!("{victim}/new"), file("dangling"))?;
    symlink(&victim, file("way"))?;
    fs::write(file("own"), "old")?;
    expect(&support::run_with_timeout(Command::new("mkfifo").arg(file("fifo")), LIMIT)?, 0, &[])?;
    let names = ["link", "dangling", "way", "own", "fifo"];
    names.iter().try_for_each(|name| lchown(file(name), Some(STRANGER), Some(STRANGER)))?;
    for (owner, mode) in [(STRANGER, 0o755), (0, 0o1777), (0, 0o777), (0, 0o775)] {
        fs::set_permissions(&his, fs::Permissions::from_mode(mode))?;
        chown(&his, Some(owner), Some(owner))?;
        for (path, named) in [
            ("link", "link"),
            ("dangling", "dangling"),
            ("fifo", "fifo"),
            ("way/new", "way"),
            ("way/secret", "way"),
        ] {
            let said = format!("{} belongs to another user (uid {STRANGER})", file(named));
            refused(&case, &["run", "-o", &file(path)], &[&said])?;
            refused(&case, &["record", "--cgroup", "/no", "--recording", &file(path)], &[&said])?;
        }
        for path in ["way", "way/new"] {
            let said = format!("{} belongs to another user (uid {STRANGER})", file("way"));
            refused(&case, &["record", "--cgroup", "/no", "--output-dir", &file(path)], &[&said])?;
        }
    }
    // sudo was typed by him: all of it is his own, and so is what comes into it.
    let mut command = case.program(["run", "-o", &file("own"), "--", "true"]);
    command.env("SUDO_UID", STRANGER.to_string()).env("SUDO_GID", STRANGER.to_string());
    expect(&support::run_with_timeout(&mut command, LIMIT)?, 0, &[])?;
    ensure!(fs::metadata(file("own"))?.uid() == STRANGER);
    ensure!(fs::read_to_string(format!("{victim}/secret"))? == "root's own");
    ensure!(fs::read_dir(&victim)?.count() == 1);
    case.is_clean()
}

/// Under the names of the checkpoint before it starts, and of the results while it runs.
fn planted() -> Result<()> {
    let case = TestEnv::new()?;
    let (his, victim) = (case.file("his"), case.file("victim"));
    fs::create_dir(&his)?;
    chown(&his, Some(STRANGER), Some(STRANGER))?;
    fs::write(&victim, "root's own")?;
    let (profile, recording) = (format!("{his}/p.json"), format!("{his}/r.json"));
    let plant = |names: &[&str]| {
        let mut script = format!("cd {his}; ");
        for name in names {
            script += &format!("rm -rf {name}; mkfifo {name}; chown {STRANGER} {name}; ");
        }
        script
    };
    let before = plant(&["r.json.partial", "r.json.2.partial"]);
    let script = format!(
        "sleep 2.5; ls {his}; {} ln -s {victim} p.json; chown -h {STRANGER} p.json; mkdir r.json",
        plant(&["r.json.3.partial"])
    );
    expect(&support::run_with_timeout(Command::new("sh").args(["-c", &before]), LIMIT)?, 0, &[])?;
    let words = ["run", "-o", &profile, "--recording", &recording, "--", "sh", "-c", &script];
    let mut command = case.program(words);
    command.env("TMPDIR", temporary(&case)?);
    let output = support::run_with_timeout(&mut command, LIMIT)?;
    let said = [
        "r.json.2.partial is in the way of checkpoints, and not ours",
        "r.json: it is a folder",
        "p.json belongs to another user",
        "what was seen of sh is in",
    ];
    expect(&output, 125, &said)?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(listed.contains("r.json.3.partial"), "no checkpoint: {listed}{}", stderr(&output));
    let found = elsewhere(&case)?;
    let [found] = found.as_slice() else { anyhow::bail!("{found:?}") };
    ensure!(Recording::read(found)?.finished && stderr(&output).contains(&found.display().to_string()));
    ensure!(fs::read_to_string(&victim)? == "root's own");
    Ok(())
}

fn folders() -> Result<()> {
    let case = TestEnv::new()?;
    let mut command =
        case.program(["record", "--cgroup", &case.home.path, "--output-dir", "a/b", "--recording-dir", "c"]);
    command.env("SUDO_UID", "65533").env("SUDO_GID", "65532");
    let mut running = Running::start(&mut command)?;
    eventually("it is ready", || {
        let is_ready = running.printed().is_ok_and(|(_, said)| said.contains("ready"));
        (is_ready || running.has_ended().unwrap_or(true)).then_some(())
    })?;
    running.signal(Signal::INT)?;
    let output = running.finish(LIMIT)?;
    expect(&output, 0, &[])?;
    let name = case.home.path.trim_matches('/');
    for made in ["a", "a/b", "c", &format!("a/b/{name}.json"), &format!("c/{name}.recording.json")] {
        let its = fs::metadata(case.file(made)).with_context(|| format!("{made}: {}", stderr(&output)))?;
        ensure!((its.uid(), its.gid()) == (65533, 65532), "{made}: {}:{}", its.uid(), its.gid());
    }
    // Not before everything else is known to be good.
    let words = ["record", "--cgroup", "/no/such", "--output-dir", "never"];
    let output = support::run_with_timeout(&mut case.program(words), LIMIT)?;
    expect(&output, 2, &["no such cgroup"])?;
    ensure!(!Path::new(&case.file("never")).exists());
    Ok(())
}

/// Its results are neither lost nor in the working directory.
fn second_target() -> Result<()> {
    for stdout in [false, true] {
        let case = TestEnv::new()?;
        let cgroup = Cgroup::create()?;
        let script = format!("echo 0 >{}; while :; do sleep 0.05; done", cgroup.procs());
        let _busy = Running::start(Command::new("sh").args(["-c", &script]))?;
        eventually("it is there", || (!cgroup.processes().is_empty()).then_some(()))?;
        let place = if stdout { "-" } else { "one.json" };
        let mut command =
            case.program(["record", "--cgroup", &case.home.path, "--cgroup", &cgroup.path, "-o", place]);
        command.env("TMPDIR", temporary(&case)?);
        let mut running = Running::start(&mut command)?;
        let shown = if stdout { "stdout" } else { "one.json" };
        let (first, second) = (&case.home.path, &cgroup.path);
        let has = format!(
            "-o takes one container's profile, and has that of {first} ({shown}); {second} is one more"
        );
        let goes = format!("its profile goes to {}/seccomp-trace-", temporary(&case)?.display());
        let is_said =
            |said: &str| said.contains(&has) && said.contains(&goes) && said.contains("use --output-dir");
        eventually("it is said", || {
            let is_said = running.printed().is_ok_and(|(_, said)| is_said(&said) && said.contains("ready"));
            (is_said || running.has_ended().unwrap_or(true)).then_some(())
        })?;
        // Something of it was seen.
        let has_call =
            |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains("\"execve\""));
        eventually("a checkpoint", || elsewhere(&case).ok()?.iter().any(has_call).then_some(()))?;
        running.signal(Signal::INT)?;
        let output = running.finish(LIMIT)?;
        expect(&output, 2, &[&has, &goes])?;
        let mut files = vec!["temporary"];
        if !stdout {
            files.insert(0, "one.json");
        }
        ensure!(case.files()? == files, "{:?}", case.files()?);
        let found = elsewhere(&case)?;
        let [found] = found.as_slice() else { anyhow::bail!("{found:?}") };
        ensure!(found.ends_with(format!("{}.json", second.trim_matches('/'))), "{}", found.display());
        ensure!(crate::common::json(found)?.is_object());
    }
    Ok(())
}

fn worse() -> Result<()> {
    let case = TestEnv::new()?;
    let files =
        || -> Result<_> { Ok((fs::read(case.profile_path())?, fs::read(case.file("recording.json"))?)) };
    let (profile, recording) = (case.file("profile.json"), case.file("recording.json"));
    expect(&case.run(&[], &["sh", "-c", "mkdir x; rmdir x"])?, 0, &[])?;
    let better = files()?;
    // It finds itself, and is late.
    let late = |options: &[&str]| {
        let places = ["record", "--cgroup", &case.home.path, "-o", &profile, "--recording", &recording];
        let words = [&places, options, &["--duration", "1s"]].concat();
        let mut command = case.program(words);
        command.env("TMPDIR", temporary(&case)?);
        support::run_with_timeout(&mut command, LIMIT)
    };
    let output = late(&["--strict"])?;
    let worse =
        ["recording.json: the new one was attached late, and lacks ", " calls of the one that is there: "];
    expect(
        &output,
        2,
        &[&worse[..], &["the better one is kept, as --strict says", "what was seen of"]].concat(),
    )?;
    ensure!(files()? == better, "--strict has replaced them: {}", stderr(&output));
    ensure!(elsewhere(&case)?.len() == 1);
    let output = late(&[])?;
    expect(&output, 0, &[&worse[..], &["profile.json: the new one", "the better one is replaced"]].concat())?;
    let (profile, recording) = files()?;
    ensure!(profile != better.0 && recording != better.1, "{}", stderr(&output));
    Ok(())
}
