//! OCI hooks of every kind, under runc and crun by hand: only what the container's filter was asked about counts, and
//! as whose; and the profile that is made starts the container with the same hooks again.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::inspect::cgroup::Hierarchy;
use seccomp_trace::recording::{BoundaryMethod, Origin};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::container_matrix::command;
use crate::container_matrix::container::unused_name;
use crate::marker::{self, ensure_application_is, origins, word};
use crate::recorder::{PATIENCE, Recorder, without};
use crate::support::{self, Need, Trial};

/// Races between the runtime's processes show in one start of ten.
const TURNS: usize = 20;
/// Each kind of hook, the marker that it calls, and whose that is; none where no filter was asked.
pub const HOOKS: [(&str, &str, &[Origin]); 6] = [
    ("prestart", "sched_getparam", &[]),
    ("createRuntime", "sched_getscheduler", &[]),
    ("createContainer", "sched_get_priority_max", &[]),
    ("startContainer", "sched_get_priority_min", &[Origin::Runtime]),
    ("poststart", "sched_rr_get_interval", &[]),
    ("poststop", "getsid", &[]),
];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    let runc = &[Need::Kernel, Need::Cc, Need::Runc];
    let crun = &[Need::Kernel, Need::Cc, Need::Crun];
    vec![
        support::test("hooks_under_runc_are_nobodys_or_the_runtimes", runc, || hooks("runc", false)),
        support::test("hooks_under_runc_with_no_new_privileges", runc, || hooks("runc", true)),
        support::test("hooks_under_crun_are_nobodys_or_the_runtimes", crun, || hooks("crun", false)),
        support::test("hooks_under_crun_with_no_new_privileges", crun, || hooks("crun", true)),
    ]
}

fn hooks(runtime: &str, no_new_privileges: bool) -> Result<()> {
    let tracing: Value =
        serde_json::from_str(&command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    for turn in 0..support::turns(TURNS) {
        let bundle = Bundle::new(no_new_privileges)?;
        let cgroup = format!("/{}", bundle.name);
        let arguments = ["--wait", "--cgroup", &cgroup, "-o", "{}/profile.json"];
        let mut recorder =
            Recorder::ready(&[&arguments[..], &["--recording", "{}/recording.json"]].concat())?;
        bundle.run(runtime, &tracing)?;
        recorder.interrupt()?;
        let recording = recorder.recording("recording.json")?;
        let said = || format!("turn {turn}: {:?}", recording.syscalls);
        ensure!(recording.boundary.method == BoundaryMethod::Filter, "turn {turn}: {}", recording.to_json());
        ensure_application_is(&recording, &["getpriority", "exit_group"]).with_context(said)?;
        for (kind, marker, expected) in HOOKS {
            let seen = origins(&recording, marker);
            ensure!(seen == expected, "turn {turn}, {kind}: {seen:?}, and not {expected:?}");
        }
        marker::ensure_runtime_is_measured(&recording, runtime, HOOK_CALLS).with_context(said)?;
        if turn == 0 {
            let profile: Value = serde_json::from_str(&fs::read_to_string(recorder.path("profile.json"))?)?;
            for start in 0..support::turns(TURNS) {
                bundle.run(runtime, &profile).with_context(|| format!("start {start}"))?;
            }
            // The test can fail: without what starts a hook, none starts.
            let without = serde_json::from_str(&without(&profile.to_string(), "clone")?)?;
            ensure!(bundle.run(runtime, &without).is_err(), "it starts without clone");
        }
    }
    Ok(())
}

/// What runc and crun call to start a hook and to wait for it, and the hook's own.
pub const HOOK_CALLS: &[&str] = &[
    "sched_get_priority_min",
    "exit_group",
    "clone",
    "clone3",
    "dup2",
    "dup3",
    "fcntl",
    "getpid",
    "getppid",
    "lseek",
    "pidfd_open",
    "pipe2",
    "poll",
    "rt_sigaction",
    "rt_sigprocmask",
    "set_robust_list",
    "wait4",
    "waitid",
    "chdir",
    "close_range",
    "getcwd",
    "openat",
];

/// A root file system of the marker program alone, with hooks.
struct Bundle {
    folder: TempDir,
    name: String,
    no_new_privileges: bool,
}

impl Bundle {
    fn new(no_new_privileges: bool) -> Result<Self> {
        let (folder, name) = (support::temp_dir()?, unused_name("hooks"));
        let rootfs = folder.path().join("rootfs");
        for directory in ["proc", "dev"] {
            fs::create_dir_all(rootfs.join(directory))?;
        }
        marker::compile(&folder.path().join("marker"))?;
        fs::copy(folder.path().join("marker"), rootfs.join("marker"))?;
        Ok(Self { folder, name, no_new_privileges })
    }

    /// Starts it once, to its end.
    fn run(&self, runtime: &str, profile: &Value) -> Result<()> {
        let outside = self.folder.path().join("marker").display().to_string();
        let mut hooks = json!({});
        for (kind, marker, _) in HOOKS {
            // This kind alone is looked up in the container.
            let path = if kind == "startContainer" { "/marker" } else { outside.as_str() };
            hooks[kind] = json!([{ "path": path, "args": ["marker", "read", word(marker)?] }]);
        }
        let capabilities = ["CAP_CHOWN", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"];
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "args": ["/marker", word("getpriority")?], "cwd": "/", "env": ["PATH=/"],
                "user": { "uid": 0, "gid": 0 }, "noNewPrivileges": self.no_new_privileges,
                "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            },
            "root": { "path": "rootfs" },
            "hooks": hooks,
            "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
            "linux": {
                "cgroupsPath": format!("/{}", self.name),
                "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
                "seccomp": profile,
            },
        });
        fs::write(self.folder.path().join("config.json"), config.to_string())?;
        let mut command = Command::new("unshare");
        let script = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", runtime]);
        command.args(["run", &self.name]).current_dir(self.folder.path());
        command::output(&mut command, PATIENCE).map(drop)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if let Ok(hierarchy) = Hierarchy::find() {
            fs::remove_dir(hierarchy.directory(&format!("/{}", self.name))).ok();
        }
    }
}
