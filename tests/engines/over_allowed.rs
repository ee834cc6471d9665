//! What a profile of several ABIs over-allows: counted by the tables, made in a container under that profile, and
//! named by what is said with it, the three are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::abi::Abi;
use seccomp_trace::recording::Recording;
use seccomp_trace::tables::{always::ALWAYS, runtimes};
use serde_json::{Value, json};

use crate::container_matrix::command;
use crate::container_matrix::container::unused_name;
use crate::recorder::{IMAGE, PATIENCE, Recorder, image};
use crate::run_profile::Bundle;
use crate::support::{self, Need, Trial, compile, safe_syscalls};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Cc, Need::Crun];

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("what_three_abis_over_allow_is_named_and_is_what_crun_lets_pass", NEEDS, || {
            named_and_true("crun-1.8.1")
        }),
        support::test("what_runtimes_calls_over_allow_is_named_and_is_what_crun_lets_pass", NEEDS, || {
            named_and_true("all")
        }),
    ]
}

/// Calls of all three ABIs: getppid, getresgid, sched_yield, socket, connect, accept, semop and shmget as x86_64; getpgrp,
/// getuid32, sgetmask, connect as i386; getuid, ioctl as x32.
const BODY: &str = "
    static int ids[3];
    call(110, 0, 0, 0); call(120, (long)ids, (long)ids, (long)ids); call(24, 0, 0, 0);
    call(41, -1, 0, 0); call(42, -1, 0, 0); call(43, -1, 0, 0); call(65, -1, 0, 0); call(29, 0, -1, 0);
    call_32(65, 0, 0, 0); call_32(199, 0, 0, 0); call_32(68, 0, 0, 0); call_32(362, -1, 0, 0);
    call(0x40000000 | 102, 0, 0, 0); call(0x40000000 | 514, -1, 0, 0);
";

/// A number that nothing else answers with.
const DENIED: u32 = 1234;

type Names = BTreeMap<Abi, BTreeSet<String>>;

fn named_and_true(runtimes: &str) -> Result<()> {
    image()?;
    let folder = support::temp_dir()?;
    compile::bare(folder.path(), "all", BODY)?;
    let tracing = folder.path().join("tracing.json");
    fs::write(&tracing, command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    let name = unused_name("over-allowed");
    let files =
        ["-o", "{}/profile.json", "--recording", "{}/recording.json", "--verbose", "--runtimes", runtimes];
    let mut recorder = Recorder::ready(&[&["--wait", "--container", &name], &files[..]].concat())?;
    let mut run = support::docker();
    run.args(["run", "--rm", "--network", "none", "--name", &name]);
    run.arg("--security-opt").arg(format!("seccomp={}", tracing.display()));
    run.arg("--volume").arg(format!("{}:/abi:ro", folder.path().display()));
    command::output(run.args([IMAGE, "/abi/all"]), PATIENCE)?;
    recorder.ends_with(0)?;

    let recording = recorder.recording("recording.json")?;
    let profile: Value = serde_json::from_slice(&fs::read(recorder.path("profile.json"))?)?;
    ensure!(
        profile["architectures"] == json!(Abi::HOST.iter().map(|abi| abi.seccomp_arch()).collect::<Vec<_>>()),
        "{profile}"
    );
    let allowed = allowed(&profile)?;
    let counted = counted(&recording, &allowed, runtimes);
    for name in ["getppid", "getresgid", "socket"] {
        ensure!(counted[&Abi::I386].contains(name), "{name} proves nothing: {counted:?}");
    }

    // What is said when it is recorded, and when the profile is made again.
    let mut generate = support::program();
    generate.args(["generate", "--verbose", "--runtimes", runtimes, "-o", "/dev/null"]);
    let output = support::run_with_timeout(generate.arg(recorder.path("recording.json")), PATIENCE)?;
    for said in [recorder.said(), String::from_utf8_lossy(&output.stderr).into_owned()] {
        ensure!(
            said.contains("warning: a rule counts under every architecture listed (x86_64, i386, x32)"),
            "{said}"
        );
        let said = named(&said)?;
        ensure!(said == counted, "said: {said:?}, counted: {counted:?}");
    }

    // What crun lets pass, which answers everything else alike.
    let passed = passed(&profile)?;
    let mut expected = Names::new();
    for abi in Abi::HOST.iter().copied() {
        let names =
            allowed.iter().filter(|name| abi.number(name).is_some_and(|n| safe_syscalls::is_safe(abi, n)));
        expected.entry(abi).or_default().extend(names.cloned());
    }
    let through = counted[&Abi::I386].iter().filter(|name| name.contains('('));
    expected.entry(Abi::I386).or_default().extend(through.cloned());
    // That one was made as i386's own, so it is nothing to be told; it passes all the same.
    expected.entry(Abi::I386).or_default().insert("socketcall(connect)".to_owned());
    ensure!(passed == expected, "passed: {passed:?}, expected: {expected:?}");
    Ok(())
}

fn allowed(profile: &Value) -> Result<BTreeSet<String>> {
    let rules = profile["syscalls"].as_array().context("no rules")?;
    let rules = rules.iter().filter(|rule| rule["action"] == "SCMP_ACT_ALLOW");
    let names = rules.filter_map(|rule| rule["names"].as_array()).flatten();
    Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// For each architecture, each name allowed that it has, less what was seen there, and what it needs all the same.
fn counted(recording: &Recording, allowed: &BTreeSet<String>, added: &str) -> Names {
    let mut counted = Names::new();
    for abi in Abi::HOST.iter().copied() {
        let seen: BTreeSet<&str> =
            recording.syscalls[&abi].iter().filter_map(|call| call.name.as_deref()).collect();
        let mut needed: BTreeSet<&str> = ALWAYS.iter().map(|always| always.name).collect();
        let sets = runtimes::sets().iter();
        let sets = sets.filter(|set| added == "all" || added == format!("{}-{}", set.runtime, set.version));
        if abi == Abi::X86_64 {
            needed.extend(sets.flat_map(|set| set.calls.keys().map(String::as_str)));
        }
        let own =
            allowed.iter().filter(|name| !seen.contains(name.as_str()) && !needed.contains(name.as_str()));
        for name in own {
            let names = counted.entry(abi).or_default();
            if abi.number(name).is_some() {
                names.insert(name.clone());
            }
            // The argument by which socketcall and ipc know it.
            if abi == Abi::I386 && MULTIPLEXED.iter().any(|(_, _, its)| its == name) {
                let through = if is_ipc(name) { "ipc" } else { "socketcall" };
                names.insert(format!("{through}({name})"));
            }
        }
    }
    counted
}

/// Number, first argument and name: `linux/net.h`, `linux/ipc.h`.
const MULTIPLEXED: [(u32, u32, &str); 29] = [
    (102, 1, "socket"),
    (102, 2, "bind"),
    (102, 3, "connect"),
    (102, 4, "listen"),
    (102, 5, "accept"),
    (102, 6, "getsockname"),
    (102, 7, "getpeername"),
    (102, 8, "socketpair"),
    (102, 11, "sendto"),
    (102, 12, "recvfrom"),
    (102, 13, "shutdown"),
    (102, 14, "setsockopt"),
    (102, 15, "getsockopt"),
    (102, 16, "sendmsg"),
    (102, 17, "recvmsg"),
    (102, 18, "accept4"),
    (102, 19, "recvmmsg"),
    (102, 20, "sendmmsg"),
    (117, 1, "semop"),
    (117, 2, "semget"),
    (117, 3, "semctl"),
    (117, 4, "semtimedop"),
    (117, 11, "msgsnd"),
    (117, 12, "msgrcv"),
    (117, 14, "msgctl"),
    (117, 21, "shmat"),
    (117, 22, "shmdt"),
    (117, 23, "shmget"),
    (117, 24, "shmctl"),
];

fn is_ipc(name: &str) -> bool {
    MULTIPLEXED.iter().any(|(number, _, its)| *number == 117 && *its == name)
}

/// `over-allowed to ABI: NAME, NAME`, a line each.
fn named(said: &str) -> Result<Names> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("over-allowed to ")?.split_once(": "));
    lines.map(|(abi, names)| Ok((abi.parse()?, names.split(", ").map(str::to_owned).collect()))).collect()
}

/// Makes all that is harmless in a container under the profile, and gives what was not denied.
fn passed(profile: &Value) -> Result<Names> {
    let mut bundle = Bundle::new()?;
    let place = bundle.rootfs().join("abi");
    fs::create_dir(&place)?;
    let calls = Abi::HOST
        .iter()
        .copied()
        .flat_map(|abi| safe_syscalls::numbers(abi, 700).map(move |number| (abi, number)));
    let multiplexed: Vec<_> =
        MULTIPLEXED.iter().map(|(number, what, _)| format!("{{{number}, {what}}}")).collect();
    let body = format!(
        "static const int MULTIPLEXED[][2] = {{ {} }};
        for (unsigned i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {{
            char abi[2] = {{'0' + CALLS[i].abi, 0}};
            if (make(CALLS[i].abi, CALLS[i].number) != -{DENIED}) say(abi, CALLS[i].number);
        }}
        for (unsigned i = 0; i < sizeof MULTIPLEXED / sizeof *MULTIPLEXED; i++)
            if (call_32(MULTIPLEXED[i][0], MULTIPLEXED[i][1], -1, -1) != -{DENIED}) say(\"multiplexed\", i);",
        multiplexed.join(", ")
    );
    compile::bare_with(&place, "probe", &safe_syscalls::c_source(calls), &body)?;
    bundle.argv = vec!["/abi/probe".to_owned()];
    let mut profile = profile.clone();
    profile["defaultErrnoRet"] = DENIED.into();
    let said = bundle.start("crun", 1000, false, &profile)?;
    let mut passed = Names::new();
    for line in said.lines() {
        let (what, number) = line.split_once(' ').with_context(|| line.to_owned())?;
        let number: u32 = number.parse()?;
        let (abi, name) = if what == "multiplexed" {
            let (through, _, name) = MULTIPLEXED[number as usize];
            (Abi::I386, format!("{}({name})", if through == 102 { "socketcall" } else { "ipc" }))
        } else {
            let abi = Abi::from_index(what.parse()?).context("no ABI")?;
            (abi, abi.name(number).map_or_else(|| format!("{number}"), str::to_owned))
        };
        passed.entry(abi).or_default().insert(name);
    }
    Ok(passed)
}
