//! Ctrl-C at any moment: no cgroup is left, and no half file.

use crate::{
    help::{Case, LIMIT, json, stderr},
    support::{self, Need, Running, Trial},
};
use anyhow::{Context as _, Result, ensure};
use rustix::process::{Signal, kill_process_group};
use seccomp_trace::recording::Recording;
use std::{path::Path, time::Duration};

/// Delays in ms: the start takes some 20, loading and detaching the kernel program the rest.
const DELAYS: [u64; 20] = [0, 1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 17, 20, 23, 26, 29, 32, 35, 40, 80];

pub fn tests() -> Vec<Trial> {
    let kernel = &[Need::Kernel];
    vec![
        support::test("run_may_be_interrupted_at_any_moment", kernel, || {
            for delay in DELAYS {
                let case = Case::new()?;
                let running = case.start(&[], &["sh", "-c", "sleep 0.05; exit 3"])?;
                interrupted(&case, running, delay, &[3, 130])?;
            }
            Ok(())
        }),
        support::test("record_may_be_interrupted_at_any_moment", kernel, || {
            for delay in DELAYS {
                let case = Case::new()?;
                let (profile, recording) = (case.file("profile.json"), case.file("recording.json"));
                let places = ["-o", &profile, "--recording", &recording];
                let words = [&["record", "--cgroup", &case.home.path], &places[..]].concat();
                // It finds itself in that cgroup, so that it always has something to write.
                let running = Running::start(&mut case.program(words))?;
                interrupted(&case, running, delay, &[0, 2, 130])?;
            }
            Ok(())
        }),
    ]
}

/// A time is what is tested here: as a terminal does, the whole group is signalled.
fn interrupted(case: &Case, running: Running, delay: u64, codes: &[i32]) -> Result<()> {
    std::thread::sleep(Duration::from_millis(delay));
    kill_process_group(running.pid(), Signal::INT)?;
    let output = running.finish(LIMIT)?;
    let shown = || format!("after {delay} ms: {:?}, {}", output.status, stderr(&output));
    // Before it takes signals, the signal itself ends it.
    let by_signal = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(2);
    ensure!(by_signal || output.status.code().is_some_and(|code| codes.contains(&code)), shown());
    case.is_clean().with_context(shown)?;
    for file in case.files()? {
        let path = case.folder.path().join(&file);
        match Path::new(&file).file_name().and_then(|name| name.to_str()) {
            Some("recording.json") => ensure!(Recording::read(&path).with_context(shown)?.finished),
            Some("profile.json") => drop(json(&path).with_context(shown)?),
            _ => anyhow::bail!("{file} is left {}", shown()),
        }
    }
    Ok(())
}
