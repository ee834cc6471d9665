//! Which cgroups get a slot, and when: those of containers, with their first task, whatever others make meanwhile. Beside an
//! engine that knows one container, which is a program in a root of its own.

use crate::{
    common::{
        Cgroup, FakeEngine, LIMIT, NATIVE, TestEnv, bare, eventually, expect, many, names, set, stderr,
    },
    support::{self, Need, Running, Trial, run_with_timeout},
};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{Lost, Origin, Recording};
use std::{fs, path::Path, process::Command, time::Duration};

/// Tens of thousands of cgroups, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);
const NEEDS: &[Need] = &[Need::Kernel, Need::Cc];

pub fn tests() -> Vec<Trial> {
    // With room for one container, what another test makes would take it.
    vec![
        support::exclusive("empty_cgroups_with_names_of_containers_cost_no_slot", NEEDS, empty),
        support::exclusive("empty_cgroups_by_the_ten_thousand_cost_no_slot", NEEDS, many_empty),
        support::exclusive("three_thousand_cgroups_with_a_task_each_harm_no_container", NEEDS, many_used),
        support::test("a_container_whose_first_task_is_born_in_its_cgroup_is_recorded", NEEDS, born),
        support::exclusive("a_container_without_a_slot_is_named_with_its_cgroup", NEEDS, refused),
        support::exclusive("strangers_without_a_slot_fail_nothing", NEEDS, strangers),
        support::test("a_container_in_a_folder_that_came_into_use_is_recorded", NEEDS, || in_use(false)),
        support::test("a_container_made_from_inside_such_a_folder_is_named", NEEDS, || in_use(true)),
        support::test("a_container_that_nobody_knows_after_a_stop_is_named", NEEDS, unheard),
    ]
}

/// A recorder of the container `wanted`, its engine, and a folder of cgroups.
struct Session {
    case: TestEnv,
    engine: FakeEngine,
    folder: Cgroup,
    running: Running,
}

impl Session {
    fn start(options: &[&str]) -> Result<Self> {
        let (case, engine, folder) = (TestEnv::new()?, FakeEngine::start()?, Cgroup::create()?);
        let recordings = case.file("recordings");
        fs::create_dir(&recordings)?;
        let words = ["record", "--engine", "docker", "--wait", "--recording-dir", &recordings];
        let mut command = case.program([&words[..], options].concat());
        let (name, host) = engine.host();
        let mut running = Running::start(command.env(name, host))?;
        eventually("it is ready", || {
            let is_ready = running.printed().is_ok_and(|(_, said)| said.contains("ready"));
            (is_ready || running.has_ended().unwrap_or(true)).then_some(())
        })?;
        let program = bare(&case, "container", "call(__NR_getitimer, 0, 0, 0);")?;
        fs::create_dir(case.file("root"))?;
        fs::copy(program, case.file("root/program"))?;
        Ok(Self { case, engine, folder, running })
    }

    /// A session for one container, which is called `wanted`.
    fn of_one(options: &[&str]) -> Result<Self> {
        Self::start(&[&["--container", "wanted"], options].concat())
    }

    /// Runs a container to its end: `sh` makes its cgroup and brings its task, as a runtime does.
    fn run_container(&self, number: u32, name: Option<&str>, parent: &str) -> Result<String> {
        let id = self.id(number);
        if let Some(name) = name {
            self.engine.create(&id, name);
        }
        let cgroup = self.folder.directory().join(parent).join(&id);
        let script = "mkdir $0 && (echo 0 >$0/cgroup.procs && exec chroot $1 /program); rmdir $0";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(&cgroup).arg(self.root());
        expect(&run_with_timeout(&mut shell, LIMIT)?, 0, &[])?;
        Ok(id)
    }

    /// As a container's; no other session has it, which would see this one's cgroup.
    fn id(&self, number: u32) -> String {
        let folder = self.folder.path.rsplit('.').next().unwrap_or_default();
        format!("{:08x}{folder:0>8}{number:048x}", std::process::id())
    }

    /// A root directory with the program.
    fn root(&self) -> String {
        self.case.file("root")
    }

    fn stop(&self) -> Result<()> {
        self.running.signal(Signal::STOP)
    }

    fn go_on(&self) -> Result<()> {
        self.running.signal(Signal::CONT)
    }

    /// Ends it, and returns what it has said.
    fn end(self, code: i32, words: &[&str]) -> Result<(TestEnv, String)> {
        self.running.signal(Signal::INT)?;
        let output = self.running.finish(PATIENCE)?;
        expect(&output, code, words)?;
        Ok((self.case, stderr(&output)))
    }
}

fn recording(case: &TestEnv, name: &str) -> Result<Recording> {
    Ok(Recording::read(&Path::new(&case.file("recordings")).join(format!("{name}.recording.json")))?)
}

/// Its program, whole, and nothing is lost.
fn is_whole(case: &TestEnv, name: &str) -> Result<()> {
    let recording = recording(case, name)?;
    ensure!(recording.lost == Lost::default(), "{name}: {:?}", recording.lost);
    let seen = names(&recording, NATIVE, Origin::Application);
    ensure!(seen == set(["getitimer", "exit_group"]), "{name}: {seen:?}");
    ensure!(!recording.boundary.attached_late, "{name}: {:?}", recording.boundary);
    Ok(())
}

/// Runs a program that makes cgroups.
fn make(session: &Session, body: &str) -> Result<()> {
    let program = many::program(&session.case, "maker", body)?;
    expect(&run_with_timeout(Command::new(program).arg(session.folder.directory()), PATIENCE)?, 0, &[])
}

fn empty() -> Result<()> {
    let session = Session::of_one(&["--max-containers", "2"])?;
    (0..8).try_for_each(|number| session.folder.make(&session.id(number)))?;
    session.run_container(100, Some("wanted"), "")?;
    let (case, _) = session.end(0, &[])?;
    is_whole(&case, "wanted")
}

fn many_empty() -> Result<()> {
    let session = Session::of_one(&[])?;
    // They take half a minute on a busy machine.
    let is_full = support::Tier::of_this_run() == support::Tier::Full;
    let count = support::many(if is_full { 70_000 } else { 14_000 });
    // Those that stay, and those that go at once; half with names of containers.
    let body = format!(
        r#"for (int i = 0; i < {count}; i++) {{
            make(i & 1 ? "%s/%064x" : "%s/%d", argv[1], i);
            if (i & 2) drop(i & 1 ? "%s/%064x" : "%s/%d", argv[1], i);
        }}"#
    );
    make(&session, &body)?;
    session.run_container(1_000_000, Some("wanted"), "")?;
    let (case, said) = session.end(0, &[])?;
    ensure!(!said.contains("--max-containers"), "{said}");
    is_whole(&case, "wanted")
}

/// A process for each of so many cgroups, which stays.
fn used(count: u32, name: &str, end: &str) -> String {
    format!(
        r#"for (int i = 0; i < {count}; i++) {{
            make("%s/{name}", argv[1], i);
            pid_t child = fork();
            if (child < 0) fail("fork");
            if (child == 0) {{ enter("%s/{name}", argv[1], i); syscall(SYS_getpriority, 0, 0); {end} }}
            if (i % 50 == 49) usleep(1000);
        }}"#
    )
}

fn many_used() -> Result<()> {
    let session = Session::of_one(&[])?;
    make(&session, &used(support::many(3000), "%d", "pause();"))?;
    session.run_container(1, Some("wanted"), "")?;
    let (case, said) = session.end(0, &[])?;
    ensure!(!said.contains("--max-containers"), "{said}");
    is_whole(&case, "wanted")
}

/// `CLONE_INTO_CGROUP`: no move is told of it, and no path.
fn born() -> Result<()> {
    let session = Session::of_one(&[])?;
    let id = session.id(1);
    session.engine.create(&id, "wanted");
    let body = format!(
        r#"
        make("%s/{id}", argv[1], 0);
        char path[512];
        snprintf(path, sizeof path, "%s/{id}", argv[1]);
        unsigned long clone_args[11] = {{0}};
        clone_args[0] = 0x200000000; /* CLONE_INTO_CGROUP */
        clone_args[4] = SIGCHLD;
        clone_args[10] = open(path, O_RDONLY | O_DIRECTORY);
        pid_t child = syscall(435, clone_args, sizeof clone_args);
        if (child < 0) fail("clone3");
        if (child == 0) {{
            if (chroot("{root}")) fail("chroot");
            execl("/program", "/program", (char *)0);
            fail("execl");
        }}
        waitpid(child, 0, 0);
        drop("%s/{id}", argv[1], 0);
    "#,
        root = session.root()
    );
    make(&session, &body)?;
    let (case, _) = session.end(0, &[])?;
    is_whole(&case, "wanted")
}

fn refused() -> Result<()> {
    let session = Session::start(&["--all", "--max-containers", "1"])?;
    // The kernel program alone: the first one's slot is not free again.
    session.stop()?;
    session.run_container(1, Some("one"), "")?;
    let second = session.run_container(2, Some("two"), "")?;
    session.go_on()?;
    let path = format!("{}/{second}", session.folder.path);
    let (case, said) = session.end(2, &["error: two: ", "--max-containers 1", &path, "(id "])?;
    ensure!(!said.contains("one: more containers"), "{said}");
    is_whole(&case, "one")
}

fn strangers() -> Result<()> {
    let session = Session::of_one(&["--max-containers", "1"])?;
    let program = many::program(&session.case, "maker", &used(3, "s%d", "_exit(0);"))?;
    session.stop()?;
    session.run_container(1, Some("wanted"), "")?;
    // Of no container, of a container that is not asked for, and of one that no engine knows.
    expect(&run_with_timeout(Command::new(program).arg(session.folder.directory()), LIMIT)?, 0, &[])?;
    session.run_container(2, Some("other"), "")?;
    session.run_container(3, None, "")?;
    session.go_on()?;
    let (case, said) = session.end(0, &[])?;
    ensure!(!said.contains("--max-containers"), "{said}");
    is_whole(&case, "wanted")
}

/// The tracer is stopped while a process comes into a folder, and then a container is made in it.
fn in_use(from_inside: bool) -> Result<()> {
    let session = Session::of_one(&[])?;
    session.stop()?;
    session.folder.make("parent")?;
    let parent = session.folder.directory().join("parent");
    if from_inside {
        let id = session.id(1);
        session.engine.create(&id, "wanted");
        let script = "echo 0 >$0/cgroup.procs; mkdir $0/$2; (echo 0 >$0/$2/cgroup.procs && exec chroot $1 /program); rmdir $0/$2";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(&parent).arg(session.root()).arg(&id);
        expect(&run_with_timeout(&mut shell, LIMIT)?, 0, &[])?;
        session.go_on()?;
        let path = format!("{}/parent/{id}", session.folder.path);
        session.end(2, &["error: wanted: its cgroup ", &path, "(id "])?;
        return Ok(());
    }
    let mut inside = Command::new("sh");
    let inside = Running::start(inside.args(["-c", "echo 0 >$0/cgroup.procs; sleep 600"]).arg(&parent))?;
    let procs = parent.join("cgroup.procs");
    eventually("it is in use", || fs::read_to_string(&procs).ok().filter(|pids| !pids.is_empty()))?;
    session.run_container(1, Some("wanted"), "parent")?;
    session.go_on()?;
    let (case, _) = session.end(0, &[])?;
    drop(inside);
    is_whole(&case, "wanted")
}

/// What its engine said of it meanwhile is lost: Docker drops events that nobody reads.
fn unheard() -> Result<()> {
    let session = Session::of_one(&[])?;
    session.stop()?;
    let id = session.run_container(1, None, "")?;
    session.run_container(2, Some("wanted"), "")?;
    std::thread::sleep(Duration::from_secs(6));
    session.go_on()?;
    let (case, _) = session.end(2, &[&format!("the container {id} ran")])?;
    is_whole(&case, "wanted")
}
