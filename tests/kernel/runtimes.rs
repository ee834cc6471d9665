//! runc and crun by hand, without an engine: the boundary is where the runtime loads the filter.

use crate::{
    common::{Cgroup, LIMIT, NATIVE, Recorder, TestEnv, bare, bundle, expect, names, set},
    support::{self, Need, Trial, denials::denied},
};
use anyhow::{Context as _, Result, ensure};
use seccomp_trace::{
    recording::{BoundaryMethod, Origin, VDSO_CALLS},
    tables::{always::ALWAYS, runtimes},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command};

pub fn tests() -> Vec<Trial> {
    vec![
        support::test("runc_is_recorded_from_its_filter_on", &[Need::Kernel, Need::Cc, Need::Runc], || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::named()?);
            // It makes the cgroup itself.
            traced(&case, json!({"noNewPrivileges": false}), &cgroup.path)?;
            let recorder = Recorder::start(&case, &["--wait", "--cgroup", &cgroup.path], &[])?;
            let mut runc = Command::new("runc");
            contained(runc.args(["run", "-b", &case.file("bundle"), &name(&cgroup)]))?;
            expect(&recorder.interrupt()?, 0, &[])?;
            is_exact(&case, "runc")
        }),
        support::test(
            "runc_without_new_privileges_loads_its_filter_last",
            &[Need::Kernel, Need::Cc, Need::Runc],
            || {
                let (case, cgroup) = (TestEnv::new()?, Cgroup::named()?);
                traced(&case, json!({"noNewPrivileges": true}), &cgroup.path)?;
                let recorder = Recorder::start(&case, &["--wait", "--cgroup", &cgroup.path], &[])?;
                let mut runc = Command::new("runc");
                contained(runc.args(["run", "-b", &case.file("bundle"), &name(&cgroup)]))?;
                expect(&recorder.interrupt()?, 0, &[])?;
                let runtime = names(&case.recording()?, NATIVE, Origin::Runtime);
                ensure!(!runtime.contains("capset"), "capset comes before that filter: {runtime:?}");
                is_exact(&case, "runc")
            },
        ),
        support::test("crun_is_recorded_from_its_filter_on", &[Need::Kernel, Need::Cc, Need::Crun], || {
            let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
            // crun 1.8 refuses a host with cgroup v2 beside v1: it doesn't see the one, and stays where it is started.
            traced(&case, json!({"noNewPrivileges": false}), &cgroup.path)?;
            let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
            let script = "echo 0 >$0 && exec unshare -m sh -c 'umount -l /sys/fs/cgroup/unified 2>/dev/null
                exec crun --cgroup-manager=disabled run -b $0 $1' $1 $2";
            let mut crun = Command::new("sh");
            contained(crun.args(["-c", script, &cgroup.procs(), &case.file("bundle"), &name(&cgroup)]))?;
            expect(&recorder.interrupt()?, 0, &[])?;
            is_exact(&case, "crun")
        }),
        support::test(
            "calls_of_go_that_a_short_run_did_not_make_work_under_its_profile",
            &[Need::Kernel, Need::Cc, Need::Runc],
            moments,
        ),
    ]
}

/// What Go calls at moments of its own. With these arguments each one answers, and none with EPERM.
const MOMENTS: &str = r#"
    static int ends[2];
    struct { const char *name; long answer; } made[] = {
        { "epoll_create1", call(__NR_epoll_create1, 0, 0, 0) },
        { "pipe2", call(__NR_pipe2, (long)ends, 0, 0) },
        { "eventfd2", call(__NR_eventfd2, 0, 0, 0) },
        { "epoll_ctl", call(__NR_epoll_ctl, -1, 0, 0) },
        { "epoll_pwait", call(__NR_epoll_pwait, -1, 0, 0) },
        { "nanosleep", call(__NR_nanosleep, 0, 0, 0) },
        { "tgkill", call(__NR_tgkill, 0, 0, 0) },
        { "madvise", call(__NR_madvise, 0, 0, 0) },
        { "sched_yield", call(__NR_sched_yield, 0, 0, 0) },
        { "getitimer", call(__NR_getitimer, 0, 0, 0) },
    };
    for (unsigned i = 0; i < sizeof made / sizeof *made; i++)
        if (made[i].answer == -1) say(made[i].name, made[i].answer);
"#;

/// One start of a program that made none of them, and then one that makes all.
fn moments() -> Result<()> {
    let (case, cgroup) = (TestEnv::new()?, Cgroup::named()?);
    let (short, long) = (bare(&case, "short", "")?, bare(&case, "long", MOMENTS)?);
    expect(&case.run(&[], &[&short])?, 0, &[])?;
    bundle(&case, &long, json!({}), case.profile()?, &cgroup.path)?;
    let mut runc = Command::new("runc");
    let output =
        support::run_with_timeout(runc.args(["run", "-b", &case.file("bundle"), &name(&cgroup)]), LIMIT)?;
    expect(&output, 0, &[])?;
    let denied = String::from_utf8(output.stdout)?;
    // Which the profile has no reason to allow: it is enforced.
    ensure!(denied == "getitimer -1\n", "denied: {denied}");
    Ok(())
}

fn name(cgroup: &Cgroup) -> String {
    cgroup.path.trim_start_matches('/').to_owned()
}

fn contained(runtime: &mut Command) -> Result<()> {
    expect(&support::run_with_timeout(runtime, LIMIT)?, 0, &[])
}

/// A bundle under the tracing profile, whose only program is one with known calls.
fn traced(case: &TestEnv, process: Value, cgroup: &str) -> Result<()> {
    let program = bare(case, "program", "call(__NR_getitimer, 0, 0, 0);")?;
    let output = support::run_with_timeout(support::program().arg("tracing-profile"), LIMIT)?;
    let profile = serde_json::from_slice(&output.stdout).context("the tracing profile")?;
    bundle(case, &program, process, profile, cgroup)
}

/// The application's calls are those of its program; the runtime's are ones that its measured sets know.
fn is_exact(case: &TestEnv, runtime: &str) -> Result<()> {
    let recording = case.recording()?;
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    ensure!(!recording.boundary.attached_late && recording.lost == Default::default());
    // Also not the call that loads the filter: it was entered without one, and ends under it.
    ensure!(denied(&recording).is_empty(), "{:?}", denied(&recording));
    let application = names(&recording, NATIVE, Origin::Application);
    ensure!(application == set(["getitimer", "exit_group"]), "{application:?}");
    let seen = names(&recording, NATIVE, Origin::Runtime);
    ensure!(seen.contains("execve"), "{seen:?}");
    let sets = runtimes::sets().iter().filter(|set| set.runtime == runtime);
    let mut known: BTreeSet<_> = sets.flat_map(|set| set.calls.keys().cloned()).collect();
    known.extend(ALWAYS.iter().map(|always| always.name.to_owned()));
    // Calls they are only where the vDSO can't read the clock, as in an emulated machine.
    known.extend(VDSO_CALLS.map(str::to_owned));
    let unknown: Vec<_> = seen.difference(&known).collect();
    ensure!(unknown.is_empty(), "{runtime} called what src/tables/runtimes.json has not: {unknown:?}");
    case.is_clean()
}
