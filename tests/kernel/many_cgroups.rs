//! Thousands of cgroups in one session, more than there is room for, and those that came and went while the tracer
//! was stopped.

use crate::{
    common::{Cgroup, NATIVE, TestEnv, expect, many, numbers},
    support::{self, Need, Running, Trial},
};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::Recording;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(180);

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("ten_thousand_cgroups_have_ten_thousand_exact_recordings", needs, ten_thousand),
        support::test("more_cgroups_than_there_is_room_for_take_nothing_from_the_others", needs, no_room),
        support::test(
            "cgroups_that_are_there_and_find_no_room_are_told_before_anything_starts",
            needs,
            too_many,
        ),
        support::test("what_came_and_went_while_the_tracer_was_stopped_is_recorded", needs, stopped),
    ]
}

/// In each of so many cgroups a process: it makes the calls that its number's bits say, and waits for its end where
/// it is to stay.
const BODY: &str = r#"
    int count = atoi(argv[2]), is_made = atoi(argv[3]), stays = atoi(argv[4]), told[2];
    if (pipe(told)) fail("pipe");
    for (int i = 0; i < count; i++) {
        if (is_made) make("%s/%d", argv[1], i);
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (child == 0) {
            enter("%s/%d", argv[1], i);
            for (int bit = 0; bit < 14; bit++) if (i >> bit & 1) syscall(490 + bit);
            write(told[1], "", 1);
            while (stays) pause();
            _exit(0);
        }
        char byte;
        if (read(told[0], &byte, 1) != 1) fail("read");
        if (!stays) {
            waitpid(child, 0, 0);
            drop("%s/%d", argv[1], i);
        }
    }
    puts("done");
    fflush(stdout);
    while (stays) pause();
"#;

/// A folder of cgroups, the processes in them, and who records them.
struct Many {
    case: TestEnv,
    folder: Cgroup,
    count: u32,
}

impl Many {
    fn new(count: u32) -> Result<Self> {
        let many = Self { case: TestEnv::new()?, folder: Cgroup::create()?, count };
        std::fs::create_dir(many.recordings())?;
        Ok(many)
    }

    fn recordings(&self) -> PathBuf {
        self.case.folder.path().join("recordings")
    }

    fn make(&self) -> Result<()> {
        (0..self.count).try_for_each(|number| self.folder.make(&number.to_string()))
    }

    fn words(&self, options: &[&str]) -> Vec<String> {
        let places = ["record", "--recording-dir"].map(str::to_owned);
        let targets = (0..self.count)
            .flat_map(|number| ["--cgroup".to_owned(), format!("{}/{number}", self.folder.path)]);
        let options = options.iter().map(|option| (*option).to_owned());
        places
            .into_iter()
            .chain([self.recordings().display().to_string()])
            .chain(options)
            .chain(targets)
            .collect()
    }

    fn record(&self, options: &[&str]) -> Result<Running> {
        let mut running = Running::start(&mut self.case.program(self.words(options)))?;
        until("it is ready", || Ok(running.printed()?.1.contains("note: ready") || running.has_ended()?))?;
        Ok(running)
    }

    /// The processes, once each has made its calls.
    fn processes(&self, is_made: bool, stays: bool) -> Result<Running> {
        let program = many::program(&self.case, "many", BODY)?;
        let mut command = Command::new(program);
        command.arg(self.folder.directory()).arg(self.count.to_string());
        let running = Running::start(command.args([is_made, stays].map(|flag| u8::from(flag).to_string())))?;
        until("all have made their calls", || Ok(running.printed()?.0 == "done\n"))?;
        Ok(running)
    }

    fn recording(&self, number: u32) -> PathBuf {
        let name = format!("{}/{number}", self.folder.path).trim_start_matches('/').replace('/', "_");
        self.recordings().join(format!("{name}.recording.json"))
    }

    /// Exactly the calls of its process, and nothing lost.
    fn is_exact(&self, number: u32) -> Result<()> {
        let recording = Recording::read(&self.recording(number))?;
        ensure!(
            recording.lost.syscalls == 0 && recording.lost.task_origins == 0,
            "{number}: {:?}",
            recording.lost
        );
        let bits = (0..14).filter(|bit| number >> bit & 1 == 1).map(|bit| 490 + bit);
        let number_of = |name: &str| NATIVE.number(name);
        let expected: BTreeSet<u32> =
            bits.chain(["close", "write"].into_iter().filter_map(number_of)).collect();
        let ends: BTreeSet<u32> =
            ["pause", "ppoll", "exit_group"].into_iter().filter_map(number_of).collect();
        let seen: BTreeSet<u32> = numbers(&recording, NATIVE).difference(&ends).copied().collect();
        ensure!(seen == expected, "{number}: {seen:?}, not {expected:?}");
        Ok(())
    }
}

fn until(what: &str, mut is_there: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_there()? {
        ensure!(Instant::now() < end, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn ten_thousand() -> Result<()> {
    let count = support::many(u32::try_from(support::turns(10_000))?);
    let many = Many::new(count)?;
    many.make()?;
    let recorder = many.record(&["--max-containers", "12000"])?;
    let _processes = many.processes(false, true)?;
    recorder.signal(Signal::INT)?;
    expect(&recorder.finish(PATIENCE)?, 0, &[])?;
    ensure!(std::fs::read_dir(many.recordings())?.count() == count as usize);
    (0..count).try_for_each(|number| many.is_exact(number))
}

fn no_room() -> Result<()> {
    for (command, code) in [(&[][..], 2), (&["--", "sh", "-c", "until [ -e go ]; do sleep 0.02; done"], 125)]
    {
        let many = Many::new(150)?;
        let mut words = many.words(&["--wait", "--max-containers", "100"]);
        words.extend(command.iter().map(|word| (*word).to_owned()));
        let recorder = Running::start(&mut many.case.program(words))?;
        until("it is ready", || Ok(recorder.printed()?.1.contains("note: ready")))?;
        let _processes = many.processes(true, true)?;
        until("it is told at once", || Ok(recorder.printed()?.1.contains("--max-containers")))?;
        if command.is_empty() {
            recorder.signal(Signal::INT)?;
        } else {
            std::fs::write(many.case.file("go"), "")?;
        }
        let refused = "more containers than --max-containers 100 came at a time: its cgroup /";
        expect(&recorder.finish(PATIENCE)?, code, &["error: /", refused, "(id "])?;
        (0..100).try_for_each(|number| many.is_exact(number))?;
        let written = std::fs::read_dir(many.recordings())?.count();
        ensure!(written == 100, "{written} recordings");
    }
    Ok(())
}

fn too_many() -> Result<()> {
    let many = Many::new(150)?;
    many.make()?;
    let mut words = many.words(&["--max-containers", "100"]);
    words.extend(["--", "touch", "started"].map(str::to_owned));
    let output = Running::start(&mut many.case.program(words))?.finish(PATIENCE)?;
    expect(&output, 125, &["--max-containers"])?;
    ensure!(!Path::new(&many.case.file("started")).exists(), "the command was started");
    Ok(())
}

/// A ring buffer that can't hold the news of a minute: the slots do.
fn stopped() -> Result<()> {
    let many = Many::new(200)?;
    let recorder = many.record(&["--wait", "--ring-buffer", "4096"])?;
    recorder.signal(Signal::STOP)?;
    let since = Instant::now();
    let processes = many.processes(true, false)?;
    expect(&processes.finish(PATIENCE)?, 0, &[])?;
    ensure!(many.folder.below().is_empty(), "their cgroups are gone");
    // In the full tier a minute, in which whatever has a time limit would reach it.
    std::thread::sleep(Duration::from_secs(support::turns(60) as u64).saturating_sub(since.elapsed()));
    recorder.signal(Signal::CONT)?;
    // All that was asked for has ended.
    expect(&recorder.finish(PATIENCE)?, 0, &[])?;
    (0..200).try_for_each(|number| many.is_exact(number))?;
    let last = Recording::read(&many.recording(199))?;
    let is_untold = last.syscalls.values().flatten().any(|call| call.first_seen.is_none());
    ensure!(is_untold, "the ring buffer has held all news: this proves less than it should");
    Ok(())
}
