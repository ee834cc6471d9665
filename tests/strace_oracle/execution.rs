//! One execution of a command, seen by both witnesses: `seccomp-trace record` traces an empty cgroup, and strace runs
//! a command that enters it before its exec.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::calls::Calls;
use super::log::{self, From, Seen};
use super::recording;

/// Seconds, after which an execution is killed: more than ten times what the slowest takes.
const LIMIT: &str = "180";

/// Where strace writes, in its own words.
const LOG: &str = "/proc/self/fd/3";

/// What both saw of one execution.
pub struct Execution {
    /// What seccomp-trace recorded.
    pub recorded: Calls,
    /// What strace saw.
    pub straced: Seen,
    /// The command's.
    pub status: ExitStatus,
    /// What the command printed, with what the witnesses say.
    pub output: String,
}

/// Runs `argv` under both. `program` is seccomp-trace.
pub fn execute(program: &Path, argv: &[String]) -> Result<Execution> {
    let folder = tempfile::Builder::new().prefix("seccomp-trace-witness.").tempdir()?;
    let file = |name: &str| folder.path().join(name);
    let cgroup = Cgroup::create()?;
    fs::write(file("sandbox.sh"), include_str!("sandbox.sh"))?;
    let output = File::create(file("output"))?;

    let mut record = Command::new(program);
    record.args(["record", "--quiet", "--cgroup", &cgroup.path, "-o"]).arg(file("profile.json"));
    record.arg("--recording").arg(file("recording.json"));
    record.args([
        "--",
        "timeout",
        "--signal=KILL",
        LIMIT,
        "unshare",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    record.args(["--mount", "--net", "--ipc", "--uts", "--pid", "sh"]).arg(file("sandbox.sh"));
    record.arg(folder.path()).arg(cgroup.folder.join("cgroup.procs")).args(argv);
    record.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8").env_remove("TMPDIR");
    record.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let status = record.status().with_context(|| format!("cannot start {}", program.display()))?;
    let output = String::from_utf8_lossy(&fs::read(file("output"))?).into_owned();

    let seen = || -> Result<(Calls, Seen)> {
        ensure!(status.code() != Some(137), "it did not end within {LIMIT} seconds");
        if let Some(trouble) = output.lines().find(|line| line.starts_with("strace: ") && line.contains(LOG))
        {
            bail!("{trouble}");
        }
        let recording = fs::read(file("recording.json")).context("there is no recording")?;
        let log = fs::read(file("log")).context("there is no log of strace")?;
        Ok((
            recording::read(&recording, "estimated")?,
            log::read(&String::from_utf8_lossy(&log), From::SecondExec)?,
        ))
    };
    let (recorded, straced) =
        seen().map_err(|error| anyhow!("{error:#} ({status}); it printed:\n{}", tail(&output)))?;
    Ok(Execution { recorded, straced, status, output })
}

/// The end of what something printed.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.ends_with(" attached")).collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}

/// An empty cgroup of the v2 hierarchy. Dropped, it is removed with all that is in it.
struct Cgroup {
    /// From the hierarchy's root.
    path: String,
    folder: PathBuf,
}

impl Cgroup {
    fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
        let mut mounts = mounts.lines().map(|mount| mount.split(' ').collect::<Vec<_>>());
        let mount =
            mounts.find(|mount| mount.get(2) == Some(&"cgroup2")).context("cgroup v2 is not mounted")?;
        let mount = mount.get(1).context("/proc/self/mounts has no path")?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/seccomp-trace-witness.{}.{count}", std::process::id());
        let folder = Path::new(&format!("{mount}{path}")).to_owned();
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { path, folder })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // What is left of a killed execution ends a moment after its namespace's init.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            let _ = fs::write(self.folder.join("cgroup.kill"), "1");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
