//! Units of a real systemd: it is PID 1 of a namespace of its own, with a cgroup v2 hierarchy alone.

use crate::{
    common::{Cgroup, LIMIT, NATIVE, TestEnv, bare, eventually, expect, names, set},
    support::{self, Need, Running, Trial},
};
use anyhow::{Context as _, Result, ensure};
use seccomp_trace::recording::{BoundaryMethod, Origin, Recording, Target};
use std::{
    fs,
    process::{Command, Output, Stdio},
};

/// `$0` is the folder of the units, `$1` systemd's cgroup.
const SYSTEMD: &str = r#"
echo 0 >$1/cgroup.procs
exec unshare --pid --fork --kill-child --mount --propagation private --uts --ipc --net sh -c '
    mount -t tmpfs tmpfs /run && umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup &&
    mount -t proc proc /proc &&
    exec env -i container=test PATH="$PATH" SYSTEMD_UNIT_PATH=$0 SYSTEMD_GENERATOR_PATH= \
        /lib/systemd/systemd --system --unit=test.target --log-target=console' $0
"#;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc, Need::Systemd];
    vec![
        support::test("a_unit_is_recorded_by_its_name", needs, units),
        support::test("without_systemd_a_unit_is_an_error", &[Need::Kernel], || {
            let mut command = Command::new("unshare");
            let script = "mount -t tmpfs tmpfs /run && exec $0 record --wait --unit web -o -";
            command.args(["--mount", "--propagation", "private", "sh", "-c", script]);
            let output = support::run_with_timeout(command.arg(support::program().get_program()), LIMIT)?;
            expect(&output, 2, &["--unit web", "systemd doesn't run here"])
        }),
    ]
}

/// A systemd, and a folder of units.
struct Systemd {
    case: TestEnv,
    cgroup: Cgroup,
    pid: String,
    _running: Running,
}

impl Systemd {
    fn start(units: &[(&str, &str)]) -> Result<Self> {
        let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
        // Calls one thing at first, and another one once there is a file; then it stays.
        let body = format!(
            r#"call(call(__NR_faccessat, -100, (long)"{}", 0) ? __NR_getpriority : __NR_getitimer, 0, 0, 0);"#,
            case.file("again")
        );
        bare(&case, "once", &body)?;
        bare(
            &case,
            "stays",
            &format!(
                "{body} static long pause[2] = {{600, 0}}; for (;;) call(__NR_nanosleep, (long)pause, 0, 0);"
            ),
        )?;
        for (name, unit) in [("test.target", "")].iter().chain(units) {
            let unit = unit.replace("{}", &case.folder.path().display().to_string());
            fs::write(case.file(name), format!("[Unit]\nDefaultDependencies=no\n{unit}"))?;
        }
        let mut command = Command::new("sh");
        command.args(["-c", SYSTEMD]).arg(case.folder.path()).arg(cgroup.directory());
        let running = Running::start(command.stdin(Stdio::null()))?;
        let scope = cgroup.directory().join("init.scope/cgroup.procs");
        let pid = eventually("systemd runs", || {
            let pids = fs::read_to_string(&scope).ok()?;
            pids.lines().next().map(str::to_owned)
        })
        .with_context(|| format!("{:?}", running.printed()))?;
        let systemd = Self { case, cgroup, pid, _running: running };
        eventually("systemd answers", || {
            let said = systemd.inside("systemctl", &["is-active", "test.target"]).ok()?;
            (said.stdout == b"active\n").then_some(())
        })?;
        Ok(systemd)
    }

    /// A command in systemd's namespaces.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid, "--mount", "--pid", "--uts", "--ipc", "--net", program]);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn inside(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        support::run_with_timeout(&mut self.command(program, arguments), LIMIT)
    }

    fn systemctl(&self, arguments: &[&str]) -> Result<()> {
        expect(&self.inside("systemctl", arguments)?, 0, &[])
    }

    /// Records a unit while `meanwhile` does something, and reads the recording.
    fn record(&self, options: &[&str], meanwhile: impl FnOnce() -> Result<()>) -> Result<Recording> {
        self.record_saying(options, &[], meanwhile)
    }

    /// The same; fails where it does not say these words.
    fn record_saying(
        &self,
        options: &[&str],
        words: &[&str],
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<Recording> {
        let (profile, place) = (self.case.file("profile.json"), self.case.file("recording.json"));
        let program = support::program().get_program().to_string_lossy().into_owned();
        let places = ["record", "-o", &profile, "--recording", &place];
        // nsenter stays in between and passes no signal on: it has to be gone.
        let mut running = Running::start(
            &mut self.command(
                "sh",
                &[
                    &["-c", "echo $$ >$0; exec \"$@\"", &self.case.file("pid"), &program],
                    &places[..],
                    options,
                ]
                .concat(),
            ),
        )?;
        eventually("it is ready", || {
            let is_ready = running.printed().is_ok_and(|(_, said)| said.contains("ready"));
            (is_ready || running.has_ended().unwrap_or(true)).then_some(())
        })?;
        ensure!(!running.has_ended()?, "{:?}", running.printed());
        meanwhile()?;
        let pid = fs::read_to_string(self.case.file("pid"))?;
        expect(&self.inside("kill", &["-INT", pid.trim()])?, 0, &[])?;
        expect(&running.finish(LIMIT)?, 0, words)?;
        Ok(Recording::read(place.as_ref())?)
    }

    /// A record that can't begin.
    fn refused(&self, options: &[&str], words: &[&str]) -> Result<()> {
        let program = support::program().get_program().to_string_lossy().into_owned();
        let output = self.inside(&program, &[&["record", "-o", "-"], options].concat())?;
        expect(&output, 2, words)
    }
}

fn ensure_is(recording: &Recording, unit: &str, path: &str, calls: &[&str]) -> Result<()> {
    let expected = Target::Cgroup { path: path.to_owned(), unit: Some(unit.to_owned()) };
    ensure!(recording.target == expected, "{:?}", recording.target);
    let seen = names(recording, NATIVE, Origin::Application);
    ensure!(seen == set(calls.iter().copied()), "{unit}: {seen:?}, and not {calls:?}");
    ensure!(!recording.is_incomplete());
    Ok(())
}

fn units() -> Result<()> {
    let systemd = Systemd::start(&[
        ("once.service", "[Service]\nType=oneshot\nSlice=a-b.slice\nExecStart={}/once\n"),
        ("stays.service", "[Service]\nSlice=c.slice\nExecStart={}/stays\n"),
        ("web@.service", "[Service]\nType=oneshot\nExecStart={}/once\n"),
        (
            "filtered.service",
            "[Service]\nType=oneshot\nSlice=c.slice\nSystemCallFilter=~kexec_load\nExecStart={}/once\n",
        ),
        ("later.timer", "[Timer]\nOnActiveSec=1h\nUnit=once.service\n"),
    ])?;
    let root = systemd.cgroup.path.as_str();

    // One that starts only then, in slices that are not there yet; by a name without its ending.
    let recording =
        systemd.record(&["--wait", "--unit", "once"], || systemd.systemctl(&["start", "once"]))?;
    ensure!(recording.boundary.method == BoundaryMethod::Estimated, "{:?}", recording.boundary);
    let path = format!("{root}/a.slice/a-b.slice/once.service");
    ensure_is(&recording, "once.service", &path, &["faccessat", "getpriority", "exit_group"])?;

    // An instance is in a slice of its template.
    let recording =
        systemd.record(&["--wait", "--unit", "web@1"], || systemd.systemctl(&["start", "web@1"]))?;
    let path = format!("{root}/system.slice/system-web.slice/web@1.service");
    ensure_is(&recording, "web@1.service", &path, &["faccessat", "getpriority", "exit_group"])?;

    // One with a filter of systemd's making: nobody's calls are lost.
    let recording = systemd
        .record(&["--wait", "--unit", "filtered.service"], || systemd.systemctl(&["start", "filtered"]))?;
    let seen = names(&recording, NATIVE, Origin::Application);
    ensure!(seen.is_superset(&set(["faccessat", "getpriority", "exit_group"])), "{seen:?}");

    // A restart goes on in the same recording.
    let pausing = |other: &str| {
        let procs = systemd.cgroup.directory().join("c.slice/stays.service/cgroup.procs");
        eventually("it stays", || {
            let pid = fs::read_to_string(&procs).ok()?;
            let call = fs::read_to_string(format!("/proc/{}/syscall", pid.trim())).ok()?;
            let number = NATIVE.number("nanosleep")?;
            (pid != other && call.starts_with(&format!("{number} "))).then_some(pid)
        })
    };
    let again = || {
        systemd.systemctl(&["start", "stays"])?;
        let first = pausing("")?;
        fs::write(systemd.case.file("again"), "")?;
        systemd.systemctl(&["restart", "stays"])?;
        pausing(&first).map(drop)
    };
    let recording = systemd.record(&["--wait", "--unit", "stays"], again)?;
    let path = format!("{root}/c.slice/stays.service");
    ensure_is(&recording, "stays.service", &path, &["faccessat", "getpriority", "getitimer", "nanosleep"])?;

    // One that runs is found where it is, and one that systemd does not know has neighbours.
    let late = [
        "stays.service: it was running before",
        "start it anew while this runs: systemctl restart stays.service\n",
    ];
    let recording = systemd.record_saying(&["--unit", "stays"], &late, || {
        let first = pausing("")?;
        systemd.systemctl(&["restart", "stays"])?;
        pausing(&first).map(drop)
    })?;
    ensure_is(&recording, "stays.service", &path, &["faccessat", "getitimer", "nanosleep"])?;
    // Its second life was seen from the beginning.
    ensure!(!recording.boundary.attached_late && recording.title() == "stays.service");
    systemd.refused(&["--unit", "once"], &["--unit once", "does not run", "--wait"])?;
    systemd.refused(&["--unit", "onec"], &["knows no such unit", "did you mean", "once.service"])?;
    systemd.refused(&["--unit", "later.timer"], &["later.timer has no processes of its own"])?;
    systemd.refused(&["--unit", "o*"], &["no unit's name"])?;
    systemd.refused(&["--unit", "web@.service"], &["systemctl doesn't say"])
}
