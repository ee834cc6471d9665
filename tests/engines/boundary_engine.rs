//! A Docker of the test's own: one that runs under a filter itself, so that what comes into a container has one
//! already; and one whose runtime adds hooks of every kind.

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::recording::{BoundaryMethod, Recording};

use crate::boundary_docker::{ensure_boundary, image};
use crate::boundary_hooks::{HOOK_CALLS, HOOKS};
use crate::container_matrix::container::unused_name;
use crate::marker::{self, ensure_application_is, ensure_runtime_is_measured, origins, word};
use crate::record_second_docker::Engine;
use crate::recorder::Recorder;
use crate::support::{self, Need, Trial};

const TURNS: usize = 10;

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Docker, Need::Runc, Need::Cc];
    vec![
        support::test("boundary_with_hooks_of_every_kind", needs, || on_an_engine(false)),
        support::test("boundary_of_an_engine_under_a_filter", needs, || on_an_engine(true)),
        support::test(
            "boundary_of_crun_under_docker",
            &[Need::Kernel, Need::Docker, Need::Runc, Need::Crun, Need::Cc],
            crun,
        )
        .only_in_full(),
    ]
}

fn on_an_engine(is_filtered: bool) -> Result<()> {
    let folder = support::temp_dir()?;
    let program = folder.path().join("marker");
    marker::compile(&program)?;
    let program = program.to_str().context("not UTF-8")?;
    let mut hooks = serde_json::json!({});
    for (kind, marker, _) in HOOKS {
        let path = if kind == "startContainer" { "/marker" } else { program };
        hooks[kind] = serde_json::json!([{ "path": path, "args": ["marker", "read", word(marker)?] }]);
    }
    // Docker adds hooks of its own: those of a kind that is named twice are the last ones.
    let wrapper = format!(
        "#!/bin/sh
bundle=
previous=
for argument; do
    [ \"$previous\" = --bundle ] && bundle=$argument
    previous=$argument
done
[ -z \"$bundle\" ] || sed -i '$ s|}}$|,\"hooks\":{hooks}}}|' \"$bundle/config.json\"
exec runc \"$@\"
"
    );
    let path = format!("PATH={}", std::env::var("PATH")?);
    let filtered = [program, "root-filter", "exec", "/usr/bin/env", &path];
    let engine = Engine::start_with(if is_filtered { &filtered } else { &[] }, &wrapper, image()?)?;
    let unconfined = ["--security-opt", "seccomp=unconfined"];
    for turn in 0..support::turns(TURNS) {
        let said = || format!("turn {turn}");
        let plain = record(&engine, &[]).with_context(said)?;
        ensure_boundary(&plain.0, BoundaryMethod::Filter).with_context(said)?;
        ensure_runtime_is_measured(&plain.0, "runc", &[]).with_context(said)?;
        ensure_application_is(&plain.0, &["getpriority", "seccomp", "prctl", "getitimer", "exit_group"])
            .with_context(said)?;

        let open = record(&engine, &unconfined).with_context(said)?;
        ensure_boundary(&open.0, BoundaryMethod::Estimated).with_context(said)?;
        ensure_runtime_is_measured(&open.0, "runc", &[]).with_context(said)?;
        ensure_application_is(&open.0, &["getpriority", "seccomp", "prctl", "getitimer", "exit_group"])
            .with_context(said)?;

        let hooked = record(&engine, &["--runtime", "stripped"]).with_context(said)?;
        ensure_boundary(&hooked.0, BoundaryMethod::Filter).with_context(said)?;
        ensure_runtime_is_measured(&hooked.0, "runc", HOOK_CALLS).with_context(said)?;
        ensure_application_is(&hooked.0, &["getpriority", "seccomp", "prctl", "getitimer", "exit_group"])
            .with_context(said)?;
        for (kind, marker, expected) in HOOKS {
            let seen = origins(&hooked.0, marker);
            ensure!(seen == expected, "turn {turn}, {kind}: {seen:?}, and not {expected:?}");
        }
        // Its profile starts it with the same hooks again.
        let profile = format!("seccomp={}", hooked.1.path("profile.json").display());
        let run = ["run", "--rm", "--network", "none", "--runtime", "stripped", "--security-opt", &profile];
        let words = [image()?, "/marker", &word("getpriority")?];
        engine.docker(&[&run[..], &words].concat()).with_context(said)?;
    }
    Ok(())
}

/// crun wants cgroup v2 alone, and limits that need controllers and capabilities that a test may not have.
fn crun() -> Result<()> {
    let alone = "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    let launcher = ["unshare", "--mount", "--propagation", "private", "sh", "-c", alone, "sh"];
    let wrapper = r#"#!/bin/sh
bundle=
previous=
for argument; do
    [ "$previous" = --bundle ] && bundle=$argument
    previous=$argument
done
[ -z "$bundle" ] || sed -E -i 's/"devices":\[\{"allow"[^]]*\],?//
    s/"(memory|cpu|pids|blockIO)":\{[^}]*\},?//g' "$bundle/config.json"
exec crun "$@"
"#;
    let engine = Engine::start_with(&launcher, wrapper, image()?)?;
    let ways = [
        (&[][..], BoundaryMethod::Filter),
        (&["--user", "1234:1234"], BoundaryMethod::Filter),
        (&["--security-opt", "no-new-privileges"], BoundaryMethod::Filter),
        (&["--pid=host"], BoundaryMethod::Filter),
        (&["--security-opt", "seccomp=unconfined"], BoundaryMethod::Estimated),
    ];
    for (options, method) in ways {
        for turn in 0..support::turns(TURNS) {
            let said = || format!("{options:?}, turn {turn}");
            let (recording, _) =
                record(&engine, &[&["--runtime", "stripped"], options].concat()).with_context(said)?;
            ensure_boundary(&recording, method).with_context(said)?;
            ensure_runtime_is_measured(&recording, "crun", &[]).with_context(said)?;
            let own = ["getpriority", "seccomp", "prctl", "getitimer", "exit_group"];
            ensure_application_is(&recording, &own).with_context(said)?;
        }
    }
    Ok(())
}

/// A container that calls, loads a filter, and calls; the recorder has its files.
fn record(engine: &Engine, options: &[&str]) -> Result<(Recording, Recorder)> {
    let name = unused_name("engine");
    let arguments =
        ["--wait", "--container", &name, "-o", "{}/profile.json", "--recording", "{}/recording.json"];
    let mut recorder = Recorder::start_with(&arguments, &[("DOCKER_HOST", &engine.host)])?;
    recorder.until_said("note: ready")?;
    let (before, after) = (word("getpriority")?, word("getitimer")?);
    let run = ["run", "--network", "none", "--name", &name];
    let words = [image()?, "/marker", &before, "filter", &after];
    engine.docker(&[&run, options, &words].concat())?;
    engine.docker(&["rm", &name])?;
    recorder.ends_with(0)?;
    Ok((recorder.recording("recording.json")?, recorder))
}
