//! What is traced makes cgroups without end: nothing of it is lost, and nobody else is harmed.

use crate::{
    common::{Cgroup, NATIVE, Recorder, TestEnv, bare, expect, many, names, numbers, set, stderr},
    support::{self, Need, Running, Trial, run_with_timeout},
};
use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, MapData, loaded_maps};
use seccomp_trace::recording::{Lost, Origin, Recording};
use seccomp_trace_common::{Cell, cell};
use std::{path::Path, process::Command, time::Duration};

/// A hundred thousand cgroups take a quarter of a minute, on a busy machine more.
const PATIENCE: Duration = Duration::from_secs(400);

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::exclusive("a_hundred_thousand_cgroups_of_one_cost_nobody_a_call", needs, at_once),
        support::exclusive("a_hundred_thousand_cgroups_that_come_and_go_leave_no_trace", needs, one_by_one),
        support::exclusive("a_cgroup_nested_deeper_than_is_walked_belongs_to_its_container", needs, deep),
        support::exclusive(
            "numbers_without_end_in_many_cgroups_leave_room_for_the_next",
            needs,
            numbers_without_end,
        ),
        support::exclusive("a_name_that_a_program_gives_itself_is_no_matter", needs, renamed),
    ]
}

/// Two recordings in one session: of the hostile one, and of another that is there or comes later.
struct Two {
    case: TestEnv,
    hostile: Cgroup,
    other: Cgroup,
    later: Cgroup,
    recorder: Recorder,
}

impl Two {
    fn start() -> Result<Self> {
        let case = TestEnv::new()?;
        let (hostile, other, later) = (Cgroup::create()?, Cgroup::create()?, Cgroup::named()?);
        std::fs::create_dir(case.file("recordings"))?;
        let targets = ["--wait", "--cgroup", &hostile.path, "--cgroup", &other.path, "--cgroup", &later.path];
        let recorder =
            Recorder::start_at(&case, &targets, &["--recording-dir", &case.file("recordings")], &[])?;
        Ok(Self { case, hostile, other, later, recorder })
    }

    /// Runs the hostile program to the point where it waits on its stdin, then the others, then it to its end.
    fn run(&self, body: &str) -> Result<()> {
        let program = many::program(&self.case, "hostile", body)?;
        let (ready, go) = (self.case.file("ready"), self.case.file("go"));
        let mut command = Command::new(&program);
        command.arg(self.hostile.directory()).args([&ready, &go]);
        let running = Running::start(&mut command)?;
        wait_for(&ready, &running)?;
        self.later.make("")?;
        for (cgroup, call) in [(&self.other, "getitimer"), (&self.later, "getppid")] {
            let program = bare(&self.case, call, &format!("call(__NR_{call}, 0, 0, 0);"))?;
            let mut shell = Command::new("sh");
            shell.args(["-c", "echo 0 >$0 && exec $1", &cgroup.procs(), &program]);
            expect(&run_with_timeout(&mut shell, PATIENCE)?, 0, &[])?;
        }
        std::fs::write(&go, "")?;
        expect(&running.finish(PATIENCE)?, 0, &[])
    }

    /// The others' recordings are whole, and the hostile one's has these calls.
    fn end(self, expected: &[&str]) -> Result<()> {
        let output = self.recorder.interrupt()?;
        expect(&output, 0, &[])?;
        ensure!(!stderr(&output).contains("lost"), "{}", stderr(&output));
        let recording = |cgroup: &Cgroup| -> Result<Recording> {
            let name = format!("{}.recording.json", cgroup.path.trim_start_matches('/'));
            let recording = Recording::read(&Path::new(&self.case.file("recordings")).join(name))?;
            ensure!(recording.lost == Lost::default(), "{}: {:?}", cgroup.path, recording.lost);
            Ok(recording)
        };
        let application = |recording: &Recording| names(recording, NATIVE, Origin::Application);
        for (cgroup, call) in [(&self.other, "getitimer"), (&self.later, "getppid")] {
            let seen = application(&recording(cgroup)?);
            ensure!(seen == set([call, "exit_group"]), "{call}: {seen:?}");
        }
        let seen = application(&recording(&self.hostile)?);
        ensure!(set(expected.iter().copied()).is_subset(&seen), "{expected:?} are not in {seen:?}");
        Ok(())
    }
}

fn wait_for(file: &str, running: &Running) -> Result<()> {
    let end = std::time::Instant::now() + PATIENCE;
    while !Path::new(file).exists() {
        ensure!(std::time::Instant::now() < end, "{file} is not there: {:?}", running.printed()?);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// It says that it is ready, and waits until it may go on.
const PAUSE: &str =
    "close(open(argv[2], O_CREAT | O_WRONLY, 0644)); while (access(argv[3], F_OK)) usleep(10000);";

fn at_once() -> Result<()> {
    let two = Two::start()?;
    let (count, last) = (support::many(100_000), support::many(100_000) - 1);
    // A call in a cgroup without a cell, one of a child born there, and one after all are gone but that one.
    two.run(&format!(
        r#"
        enter("%s", argv[1], 0);
        for (int i = 0; i < {count}; i++) make("%s/%d", argv[1], i);
        enter("%s/%d", argv[1], {last});
        syscall(SYS_getitimer, 0, 0);
        if (fork() == 0) {{ syscall(SYS_sched_getscheduler, 0); _exit(0); }}
        wait(0);
        {PAUSE}
        for (int i = 0; i < {last}; i++) drop("%s/%d", argv[1], i);
        syscall(SYS_getpriority, 0, 0);
        enter("%s", argv[1], 0);
        drop("%s/%d", argv[1], {last});
        syscall(SYS_getsid, 0);
    "#
    ))?;
    two.end(&["getitimer", "sched_getscheduler", "getpriority", "getsid"])
}

fn one_by_one() -> Result<()> {
    let count = support::many(100_000);
    let before = tables()?;
    let two = Two::start()?;
    let table = tables()?.into_iter().find(|id| !before.contains(id)).context("the session has no table")?;
    two.run(&format!(
        r#"
        enter("%s", argv[1], 0);
        for (int i = 0; i < {count}; i++) {{ make("%s/%d", argv[1], i); drop("%s/%d", argv[1], i); }}
        make("%s/last", argv[1], 0);
        enter("%s/last", argv[1], 0);
        syscall(SYS_getitimer, 0, 0);
        {PAUSE}
        enter("%s", argv[1], 0);
        drop("%s/last", argv[1], 0);
    "#
    ))?;
    // Other tests make cgroups as well, and they go through this table: a few are there at each moment.
    let cells = Array::<_, Cell>::try_from(aya::maps::Map::Array(MapData::from_id(table)?))?;
    let used = cells.iter().filter(|cell| cell.as_ref().is_ok_and(|cell| cell.cgroup != cell::EMPTY)).count();
    ensure!(used < 200, "{used} cells of {} are not empty", cells.len());
    two.end(&["getitimer"])
}

/// The cgroup tables of all sessions on this machine.
fn tables() -> Result<Vec<u32>> {
    let maps = loaded_maps().filter_map(Result::ok);
    Ok(maps.filter(|map| map.name_as_str() == Some("CGROUPS")).map(|map| map.id()).collect())
}

fn deep() -> Result<()> {
    let two = Two::start()?;
    // By folders that are open: the path is longer than a path may be.
    two.run(&format!(
        r#"
        enter("%s", argv[1], 0);
        int outer = open(argv[1], O_DIRECTORY);
        for (int i = 0; i < 1000; i++) {{
            if (mkdirat(outer, "n", 0755)) fail("mkdirat");
            int inner = openat(outer, "n", O_DIRECTORY);
            if (inner < 0) fail("openat");
            close(outer);
            outer = inner;
        }}
        int procs = openat(outer, "cgroup.procs", O_WRONLY);
        if (write(procs, "0", 1) != 1) fail("cgroup.procs");
        syscall(SYS_getitimer, 0, 0);
        {PAUSE}
        enter("%s", argv[1], 0);
        for (int i = 0; i < 1000; i++) {{
            int above = openat(outer, "..", O_DIRECTORY);
            if (unlinkat(above, "n", AT_REMOVEDIR)) fail("unlinkat");
            close(outer);
            outer = above;
        }}
    "#
    ))?;
    two.end(&["getitimer"])
}

fn renamed() -> Result<()> {
    let two = Two::start()?;
    two.run(&format!(
        r#"
        enter("%s", argv[1], 0);
        make("%s/a", argv[1], 0);
        char from[512], to[512];
        snprintf(from, sizeof from, "%s/a", argv[1]);
        snprintf(to, sizeof to, "%s/b", argv[1]);
        /* Cgroup v2 refuses it; if it ever does not, nothing may change. */
        int refused = rename(from, to);
        enter(refused ? "%s/a" : "%s/b", argv[1], 0);
        syscall(SYS_prctl, 15, "runc:[2:INIT]");
        memset(argv[0], '/', strlen(argv[0]));
        syscall(SYS_getitimer, 0, 0);
        {PAUSE}
        enter("%s", argv[1], 0);
        drop(refused ? "%s/a" : "%s/b", argv[1], 0);
    "#
    ))?;
    two.end(&["getitimer"])
}

/// Each of them calls all that one may, which is more than the table holds.
fn numbers_without_end() -> Result<()> {
    let (case, hostile, other) = (TestEnv::new()?, Cgroup::create()?, Cgroup::create()?);
    let recordings = case.file("recordings");
    std::fs::create_dir(&recordings)?;
    let mut targets = vec!["--cgroup".to_owned(), other.path.clone()];
    for number in 0..20 {
        hostile.make(&number.to_string())?;
        targets.extend(["--cgroup".to_owned(), format!("{}/{number}", hostile.path)]);
    }
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let recorder = Recorder::start_at(&case, &targets, &["--recording-dir", &recordings], &[])?;
    let many = bare(&case, "many", "for (long n = 1000; n < 5096; n++) call(n, 0, 0, 0);")?;
    let few = bare(&case, "few", "for (long n = 9000; n < 9100; n++) call(n, 0, 0, 0);")?;
    let run = |program: &str, directory: std::path::PathBuf| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo 0 >$0/cgroup.procs && exec $1"]).arg(directory).arg(program);
        expect(&run_with_timeout(&mut shell, PATIENCE)?, 0, &[])
    };
    (0..20).try_for_each(|number| run(&many, hostile.directory().join(number.to_string())))?;
    run(&few, other.directory())?;
    recorder.running.signal(rustix::process::Signal::INT)?;
    recorder.running.finish(PATIENCE)?;
    let recording = |path: &str| {
        let name = path.trim_start_matches('/').replace('/', "_");
        Recording::read(&Path::new(&recordings).join(format!("{name}.recording.json")))
    };
    let last = recording(&format!("{}/19", hostile.path))?;
    ensure!(last.lost.syscalls > 0, "the table has held all: this proves nothing");
    let other = recording(&other.path)?;
    ensure!(other.lost.syscalls == 0, "{:?}", other.lost);
    let beyond = numbers(&other, NATIVE).into_iter().filter(|number| *number >= 512).count();
    ensure!(beyond == 100, "{beyond} of 100 numbers");
    Ok(())
}
