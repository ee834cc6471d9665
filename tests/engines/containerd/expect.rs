//! What the containers of the tests do, and what is to be seen of it.

use std::path::Path;

use anyhow::{Result, ensure};
use seccomp_trace::recording::{BoundaryMethod, Origin, VDSO};

use super::Host;
use crate::container_matrix::command::until;
use crate::recorder::{PATIENCE, Recorder, ensure_calls};

/// What only a runtime calls, before it loads the filter.
pub const OF_THE_RUNTIME: [&str; 6] = ["mount", "umount2", "pivot_root", "keyctl", "sethostname", "capset"];
/// Calls that are easily told, and an end.
pub const SCRIPT: &str = "mkdir /x && chmod 700 /x && rmdir /x && echo done";
/// Calls `utimensat` at its beginning, and `chmod` at its end.
pub const SERVICE: &str =
    "trap 'chmod 700 /bin; exit' TERM; touch /up; echo up; while :; do sleep 0.05; done";
/// Where the results of several go.
pub const FOLDERS: [&str; 4] = ["--output-dir", "{}", "--recording-dir", "{}"];
/// Where those of one go.
pub const FILES: [&str; 4] = ["-o", "{}/profile.json", "--recording", "{}/recording.json"];

/// The file of the container `app` of the pod `default/web-1`.
pub const APP: &str = "default_web-1_app";

/// Recorded from the filter on, whole, and with nothing to warn of.
pub fn is_exact(recorder: &Recorder, name: &str, title: &str, before: &[&str]) -> Result<()> {
    let recording = recorder.recording(name)?;
    ensure!(recording.boundary.method == BoundaryMethod::Filter, "{:?}", recording.boundary);
    ensure!(!recording.boundary.attached_late && recording.finished, "{:?}", recording.boundary);
    ensure!(
        recording.warnings.iter().all(|its| its.code == VDSO) && recording.title() == title,
        "{:?}",
        recording.warnings
    );
    ensure_calls(&recording, Origin::Runtime, &["execve"], &["mount", "pivot_root", "mkdir"])?;
    ensure_calls(&recording, Origin::Application, &["mkdir", "chmod", "rmdir", "exit_group"], before)?;
    ensure_calls(&recording, Origin::Joined, &[], &["execve", "mkdir"])
}

/// Waits until a container of ctr has begun its service. `ctr run` is back before its first call.
pub fn is_up(host: &Host, name: &str) -> Result<()> {
    let file = host.path(&format!("io.containerd.runtime.v2.task/{}/{name}/rootfs/up", host.namespace));
    until(PATIENCE, &file, || Ok(Path::new(&file).exists().then_some(())))
}
