//! `run` sees no runtime, and what it writes starts containers all the same: under runc and crun by themselves, as
//! root, as another user, and with no-new-privileges.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::container_matrix::command;
use crate::container_matrix::container::unused_name;
use crate::recorder::{PATIENCE, busybox, without};
use crate::support::{self, Need, Trial};

const STARTS: usize = 20;

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test(
            "a_profile_of_run_starts_containers_under_runc",
            &[Need::Kernel, Need::Busybox, Need::Runc],
            || starts("runc"),
        ),
        support::test(
            "a_profile_of_run_starts_containers_under_crun",
            &[Need::Kernel, Need::Busybox, Need::Crun],
            || starts("crun"),
        ),
        #[cfg(target_arch = "x86_64")]
        support::test(
            "numbers_that_no_table_has_kill_nobody_under_runc_and_crun",
            &[Need::Kernel, Need::Busybox, Need::Cc, Need::Runc, Need::Crun],
            odd_numbers,
        ),
    ]
}

/// A root file system of busybox alone, and what runs in it.
pub struct Bundle {
    folder: TempDir,
    name: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
}

impl Bundle {
    /// One without a program yet.
    pub fn new() -> Result<Self> {
        let (folder, name) = (support::temp_dir()?, unused_name("bundle"));
        let rootfs = folder.path().join("rootfs");
        busybox(&rootfs)?;
        for directory in ["proc", "dev", "tmp"] {
            fs::create_dir(rootfs.join(directory))?;
        }
        // Another user goes in and writes there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        Ok(Self { folder, name, argv: Vec::new() })
    }

    /// The folder that is the container's root.
    pub fn rootfs(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    /// Starts it once, and gives what it printed.
    pub fn start(
        &self,
        runtime: &str,
        user: u32,
        no_new_privileges: bool,
        profile: &Value,
    ) -> Result<String> {
        let capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"];
        let effective = if user == 0 { &capabilities[..] } else { &[] };
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "args": self.argv,
                "cwd": "/",
                "env": ["PATH=/bin"],
                "user": { "uid": user, "gid": user },
                "noNewPrivileges": no_new_privileges,
                "capabilities": { "bounding": capabilities, "effective": effective, "permitted": effective },
            },
            "root": { "path": "rootfs" },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
            ],
            "linux": {
                "cgroupsPath": format!("/{}", self.name),
                "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
                "seccomp": profile,
            },
        });
        fs::write(self.folder.path().join("config.json"), config.to_string())?;
        let limit = PATIENCE;
        command::output(&mut cgroup2_alone(runtime, self.folder.path(), &["run", &self.name]), limit)
    }
}

/// Calls the runtime in the bundle's folder, where cgroup v2 alone is mounted: crun refuses both side by side.
fn cgroup2_alone(runtime: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", runtime]).args(arguments);
    command.current_dir(folder);
    command
}

/// A bundle in which a script runs, and a profile of what it does.
fn recorded() -> Result<(Bundle, Value)> {
    let mut bundle = Bundle::new()?;
    let name = &bundle.name;
    let script = format!(
        "mkdir /tmp/{name} && cd /tmp/{name} && echo some words >file && sort file | tr a-z A-Z && ls -l >list && \
         rm file list && cd / && rmdir /tmp/{name}"
    );
    let written = bundle.folder.path().join("profile.json");
    let mut run = support::program();
    run.args(["run", "-o"])
        .arg(&written)
        .arg("--")
        .arg(bundle.rootfs().join("bin/busybox"))
        .args(["sh", "-c"]);
    ensure!(command::output(run.arg(&script), PATIENCE)? == "SOME WORDS\n");
    let profile = serde_json::from_str(&fs::read_to_string(written)?)?;
    bundle.argv = ["sh", "-c", &script].map(str::to_owned).into();
    Ok((bundle, profile))
}

fn starts(runtime: &str) -> Result<()> {
    let (bundle, profile) = recorded()?;
    for (user, no_new_privileges) in [(0, false), (1000, false), (0, true), (1000, true)] {
        for number in 1..=support::turns(STARTS) {
            let said = bundle
                .start(runtime, user, no_new_privileges, &profile)
                .with_context(|| format!("{runtime}, user {user}, {no_new_privileges}, start {number}"))?;
            ensure!(said == "SOME WORDS\n", "{said:?}");
        }
    }
    // The test can fail: mkdir is the script's, setgroups or setresgid the runtime's.
    for call in ["mkdir", if runtime == "runc" { "setgroups" } else { "setresgid" }] {
        let profile = serde_json::from_str(&without(&profile.to_string(), call)?)?;
        let started = bundle.start(runtime, 0, false, &profile);
        let mut delete = cgroup2_alone(runtime, bundle.folder.path(), &["delete", "--force", &bundle.name]);
        support::run_with_timeout(&mut delete, PATIENCE)?;
        ensure!(started.is_err(), "it starts without {call}");
    }
    Ok(())
}

/// They fail while they are recorded, and must fail under the profile: filters take those with bit 30 (negative ones, too) for x32's, and kill
/// where that is not listed.
#[cfg(target_arch = "x86_64")]
fn odd_numbers() -> Result<()> {
    let numbers = ["500", "1000", "0x40000027", "-2"];
    for number in numbers {
        let mut bundle = Bundle::new()?;
        let body = format!("say(\"answered\", call({number}, 0, 0, 0) < 0);");
        let program = crate::support::compile::bare(&bundle.rootfs(), "odd", &body)?;
        let written = bundle.folder.path().join("profile.json");
        let mut run = support::program();
        ensure!(
            command::output(run.arg("run").arg("-o").arg(&written).arg("--").arg(&program), PATIENCE)?
                .starts_with("answered")
        );
        let profile: Value = serde_json::from_str(&fs::read_to_string(written)?)?;
        let architectures = profile["architectures"].as_array().context("no architectures")?;
        let is_x32 = ["0x40000027", "-2"].contains(&number);
        ensure!(architectures.contains(&"SCMP_ARCH_X32".into()) == is_x32, "{number}: {architectures:?}");
        bundle.argv = vec!["/odd".to_owned()];
        for runtime in ["runc", "crun"] {
            let said =
                bundle.start(runtime, 0, false, &profile).with_context(|| format!("{number}, {runtime}"))?;
            ensure!(said.starts_with("answered"), "{number}, {runtime}: {said:?}");
        }
        // The test can fail.
        let mut killing = profile.clone();
        killing["architectures"] = json!(["SCMP_ARCH_X86_64"]);
        let started = bundle.start("crun", 0, false, &killing);
        ensure!(started.is_err() == is_x32, "{number}: {started:?}");
        let mut delete = cgroup2_alone("crun", bundle.folder.path(), &["delete", "--force", &bundle.name]);
        support::run_with_timeout(&mut delete, PATIENCE)?;
    }
    Ok(())
}
