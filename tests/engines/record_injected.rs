//! A container has the process of another one make a call: the call is the other one's, for nobody else makes it.

use anyhow::{Result, ensure};
use seccomp_trace::recording::{Lost, Origin};

use crate::container_matrix::container::unused_name;
use crate::recorder::{Container, Recorder, calls, docker, ensure_calls};
use crate::steps::{GETITIMER, GETSID, NEEDS, Place};
use crate::support::{self, Trial};

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("record_counts_what_a_ptracer_injects_as_the_victims", NEEDS, || {
            injected("inject", &["ptrace", "wait4"])
        }),
        support::test("record_counts_what_is_written_to_memory_as_the_victims", NEEDS, || {
            injected("poke", &["pwrite64"])
        }),
    ]
}

/// Another container has the victim's first process call getitimer, which neither of them does by itself.
fn injected(way: &str, of_the_attacker: &[&str]) -> Result<()> {
    let (place, prefix) = (Place::new()?, unused_name("injected"));
    let container = |name: &str| Container { name: format!("{prefix}-{name}") };
    let (victim, attacker) = (container("victim"), container("attacker"));
    let glob = format!("{prefix}-*");
    let mut recorder = Recorder::ready(&["--container", &glob, "--recording-dir", "{}", "--strict"])?;
    let exact = ["--security-opt", "seccomp={}/tracing.json"];
    place.start(&victim, &exact, &format!("call {} say up until /s/go asked", GETSID))?;
    victim.until_said("up")?;
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &victim.name])?;
    let mighty = ["--pid", "host", "--cap-add", "SYS_PTRACE", "--security-opt", "apparmor=unconfined"];
    let steps = format!("{way} {} {}", pid.trim(), GETITIMER);
    place.start(&attacker, &[&exact[..], &mighty].concat(), &steps)?;
    attacker.ends_well()?;
    place.say("go")?;
    victim.ends_well()?;
    victim.remove()?;
    attacker.remove()?;
    // Nobody is told: the kernel sees the victim call.
    recorder.interrupt()?;
    let recording = |container: &Container| recorder.recording(&format!("{}.recording.json", container.name));
    let (of_victim, other) = (recording(&victim)?, recording(&attacker)?);
    ensure!(of_victim.lost == Lost::default() && other.lost == Lost::default(), "{:?}", recorder.said());
    ensure_calls(&of_victim, Origin::Application, &["getsid", "getitimer"], of_the_attacker)?;
    ensure_calls(&other, Origin::Application, of_the_attacker, &["getsid"])?;
    ensure!(!calls(&other, None).contains("getitimer"), "{:?}", calls(&other, None));
    Ok(())
}
