//! Programs of other ABIs in real containers: recorded under the tracing profile, each ABI has exactly its own calls,
//! by their names, and the container does the same under its profile, in 20 of 20 starts; it does not without one of
//! the calls, nor without the architecture.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use seccomp_trace::abi::Abi;
use seccomp_trace::recording::{Origin, Recording};
use serde_json::Value;
use tempfile::TempDir;

use crate::proof::command;
use crate::proof::container::unused_name;
use crate::recorder::{IMAGE, PATIENCE, Recorder, image};
use crate::run_profile::Bundle;
use crate::support::{self, Need, Trial, compile};

const NEEDS: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Cc];
const BUNDLES: &[Need] = &[Need::Kernel, Need::Docker, Need::Busybox, Need::Cc, Need::Runc, Need::Crun];
const STARTS: usize = 20;
/// A start is mostly waiting for Docker.
const AT_ONCE: usize = 2;

/// All tests of this file.
pub fn tests() -> Vec<Trial> {
    vec![
        support::test("a_32_bit_container_works_under_its_profile", NEEDS, || works(&ONLY_32)),
        support::test("a_container_with_32_bit_calls_works_under_its_profile", NEEDS, || works(&COMPAT)),
        support::test("a_container_of_both_works_under_its_profile", NEEDS, || works(&MIXED)),
        support::test("a_container_with_x32_calls_works_under_its_profile", NEEDS, || works(&X32)),
        support::test("a_container_of_both_works_under_runc_and_crun_by_themselves", BUNDLES, bundles),
    ]
}

/// A container's programs, and what is to be seen of them.
struct Subject {
    /// Their names below `/abi`, and how they are made.
    programs: &'static [(&'static str, Source)],
    argv: &'static [&'static str],
    /// What it prints; none where that is the kernel's to say.
    says: Option<&'static str>,
    /// Its calls on x86_64; none where a shell is part of it.
    native: Option<&'static [&'static str]>,
    /// The other ABI, and its calls.
    other: (Abi, &'static [&'static str]),
    /// One of those, without which it does something else.
    needs: &'static str,
}

enum Source {
    Bare(&'static str),
    Bare32(&'static str),
    Libc(&'static str),
}

/// An i386 program alone, with calls that only i386 has, or has under another number than x86_64.
const ONLY_32: Subject = Subject {
    programs: &[(
        "only32",
        Source::Bare32(
            r#"long unix_stream[3] = {1, 1, 0}, space[64], memory;
            say("getpid", call(20, 0, 0, 0));
            say("getuid32", call(199, 0, 0, 0));
            say("socketcall", call(102, 1, (long)unix_stream, 0));
            __asm__ volatile("int $0x80" : "=a"(memory)
                             : "a"(192), "b"(0), "c"(4096), "d"(3), "S"(0x22), "D"(-1) : "memory");
            *(volatile long *)memory = 7;
            say("mmap2", *(volatile long *)memory);
            say("fstat64", call(197, 1, (long)space, 0));
            say("_llseek", call(140, -1, 0, 0));
            say("clock_gettime64", call(403, 1, (long)space, 0));
            say("waitpid", call(7, -1, 0, 0));
            say("time", call(13, 0, 0, 0) > 0);
            say("ugetrlimit", call(191, 7, (long)space, 0));
            say("break", call(17, 0, 0, 0));"#,
        ),
    )],
    argv: &["/abi/only32"],
    says: Some(
        "getpid 1\ngetuid32 0\nsocketcall 3\nmmap2 7\nfstat64 0\n_llseek -9\nclock_gettime64 0\nwaitpid -10\n\
           time 1\nugetrlimit 0\nbreak -38\n",
    ),
    native: Some(&[]),
    other: (
        Abi::I386,
        &[
            "_llseek",
            "break",
            "clock_gettime64",
            "exit_group",
            "fstat64",
            "getpid",
            "getuid32",
            "mmap2",
            "socketcall",
            "time",
            "ugetrlimit",
            "waitpid",
            "write",
        ],
    ),
    needs: "socketcall",
};

/// A 64-bit program that uses `int $0x80`. 65 is getpgrp there and semop here, 120 is clone there and getresgid here.
const COMPAT: Subject = Subject {
    programs: &[(
        "compat",
        Source::Bare(
            r#"static int unix_stream[3] = {1, 1, 0};
            say("getppid", call(110, 0, 0, 0));
            say("socketcall", call_32(102, 1, (long)unix_stream, 0));
            say("getpgrp", call_32(65, 0, 0, 0));
            say("sgetmask", call_32(68, 0, 0, 0));
            say("getresgid", call(120, (long)unix_stream, (long)unix_stream, (long)unix_stream));"#,
        ),
    )],
    argv: &["/abi/compat"],
    says: Some("getppid 0\nsocketcall 3\ngetpgrp 1\nsgetmask 0\ngetresgid 0\n"),
    native: Some(&["exit_group", "getppid", "getresgid", "write"]),
    other: (Abi::I386, &["getpgrp", "sgetmask", "socketcall"]),
    needs: "sgetmask",
};

/// A 64-bit shell starts a 32-bit program, which forks and becomes a 64-bit one with threads, one of which makes 32-bit calls.
const MIXED: Subject = Subject {
    programs: &[
        (
            "outer32",
            Source::Bare32(
                r#"static char *argv[] = {"/abi/inner64", 0};
                long child = call(2, 0, 0, 0);
                if (!child) {
                    call(11, (long)argv[0], (long)argv, 0);
                    call(__NR_exit_group, 9, 0, 0);
                }
                int status = -1;
                say("waited", call(7, child, (long)&status, 0) == child);
                say("status", status);"#,
            ),
        ),
        (
            "inner64",
            Source::Libc(
                r#"#define _GNU_SOURCE
                #include <pthread.h>
                #include <stdio.h>
                #include <sys/syscall.h>
                #include <sys/wait.h>
                #include <unistd.h>
                static long compat(long number) {
                    int result;
                    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0L), "c"(0L), "d"(0L)
                                     : "r8", "r9", "r10", "r11", "memory");
                    return result;
                }
                static void *thread(void *is_compat) {
                    long sum = 0;
                    for (int i = 0; i < 1000; i++) sum += is_compat ? compat(68) : syscall(SYS_sched_get_priority_max, 1);
                    return (void *)sum;
                }
                int main(void) {
                    pthread_t one, two;
                    void *first, *second;
                    int status;
                    pthread_create(&one, 0, thread, 0);
                    pthread_create(&two, 0, thread, "compat");
                    pthread_join(one, &first);
                    pthread_join(two, &second);
                    if (!fork()) _exit(compat(199));
                    wait(&status);
                    printf("threads %ld %ld\nfork %d\n", (long)first, (long)second, status);
                    return 0;
                }"#,
            ),
        ),
    ],
    argv: &["sh", "-c", "echo start; /abi/outer32; echo end"],
    says: Some("start\nthreads 99000 0\nfork 0\nwaited 1\nstatus 0\nend\n"),
    native: None,
    other: (Abi::I386, &["execve", "exit_group", "fork", "getuid32", "sgetmask", "waitpid", "write"]),
    needs: "waitpid",
};

/// x32's numbers, its own 512–547 among them. Where the kernel has no x32, it answers ENOSYS to what the filter lets pass.
const X32: Subject = Subject {
    programs: &[(
        "x32",
        Source::Bare(
            r#"long base = call(0x40000000 | 102, 0, 0, 0);
            if (base != -38) base = 0;
            say("getuid", base);
            say("sched_get_priority_max", call(0x40000000 | 146, 0, 0, 0) - base);
            say("ioctl", call(0x40000000 | 514, -1, 0, 0) == (base ? base : -9));
            say("pwritev2", call(0x40000000 | 547, -1, 0, 0) == (base ? base : -9));"#,
        ),
    )],
    argv: &["/abi/x32"],
    says: None,
    native: Some(&["exit_group", "write"]),
    other: (Abi::X32, &["getuid", "ioctl", "pwritev2", "sched_get_priority_max"]),
    needs: "sched_get_priority_max",
};

/// What a recording under the tracing profile gave.
struct Recorded {
    folder: TempDir,
    says: String,
    recording: Recording,
    profile: Value,
}

/// Compiles the programs where containers can be given them.
fn made(subject: &Subject, folder: &Path) -> Result<()> {
    for (name, source) in subject.programs {
        match source {
            Source::Bare(body) => compile::bare(folder, name, body),
            Source::Bare32(body) => compile::bare_32_bit(folder, name, body),
            Source::Libc(source) => compile::static_with_libc(folder, name, source),
        }?;
    }
    Ok(())
}

/// Runs the container once to its end, and gives what it printed.
fn run(folder: &Path, name: &str, profile: &Path, argv: &[&str]) -> Result<String> {
    image()?;
    let mut run = support::docker();
    run.args(["run", "--rm", "--network", "none", "--name", name]);
    run.arg("--security-opt").arg(format!("seccomp={}", profile.display()));
    run.arg("--volume").arg(format!("{}:/abi:ro", folder.display()));
    command::output(run.arg(IMAGE).args(argv), PATIENCE)
}

fn record(subject: &Subject) -> Result<Recorded> {
    let folder = support::temp_dir()?;
    made(subject, folder.path())?;
    let tracing = folder.path().join("tracing.json");
    fs::write(&tracing, command::output(support::program().arg("tracing-profile"), PATIENCE)?)?;
    let name = unused_name("abi");
    let files = ["-o", "{}/profile.json", "--recording", "{}/recording.json"];
    let mut recorder = Recorder::ready(&[&["--wait", "--container", &name], &files[..]].concat())?;
    let says = run(folder.path(), &name, &tracing, subject.argv)?;
    recorder.ends_with(0)?;
    let recording = recorder.recording("recording.json")?;
    let profile = serde_json::from_slice(&fs::read(recorder.path("profile.json"))?)?;
    Ok(Recorded { folder, says, recording, profile })
}

/// The names of one ABI's calls by the application.
fn names(recording: &Recording, abi: Abi) -> BTreeSet<&str> {
    let calls = recording.syscalls.get(&abi).into_iter().flatten();
    let own = calls.filter(|call| call.origins.contains(&Origin::Application));
    own.map(|call| call.name.as_deref().unwrap_or("?")).collect()
}

fn is_exact(subject: &Subject, recorded: &Recorded) -> Result<()> {
    let Recorded { says, recording, profile, .. } = recorded;
    let (abi, calls) = &subject.other;
    ensure!(subject.says.is_none_or(|expected| says == expected), "recorded, it says {says:?}");
    ensure!(recording.warnings.is_empty() && recording.lost.syscalls == 0, "{:?}", recording.warnings);
    let (native, other) = (names(recording, Abi::X86_64), names(recording, *abi));
    ensure!(other.iter().eq(*calls), "{abi}: {other:?}");
    match subject.native {
        Some(calls) => ensure!(native.iter().eq(calls), "x86_64: {native:?}"),
        None => {
            let own = ["clone", "execve", "sched_get_priority_max", "wait4"];
            ensure!(own.iter().all(|call| native.contains(call)), "x86_64: {native:?}");
            ensure!(!native.contains("getuid32") && !native.contains("waitpid"), "x86_64: {native:?}");
        }
    }
    let architectures: Vec<_> = [Abi::X86_64, *abi].iter().map(|abi| abi.seccomp_arch()).collect();
    ensure!(profile["architectures"] == serde_json::json!(architectures), "{}", profile["architectures"]);
    Ok(())
}

fn works(subject: &'static Subject) -> Result<()> {
    let recorded = record(subject)?;
    is_exact(subject, &recorded)?;
    let place = write(&recorded, "whole.json", &recorded.profile)?;
    let start = || run(recorded.folder.path(), &unused_name("abi"), &place, subject.argv);
    thread::scope(|scope| {
        let starts: Vec<_> =
            (0..AT_ONCE).map(|_| scope.spawn(|| same(&recorded, STARTS / AT_ONCE, start))).collect();
        starts.into_iter().try_for_each(|starts| starts.join().unwrap_or_else(|_| anyhow::bail!("a panic")))
    })?;
    // The test can fail.
    for (what, less) in less(subject, &recorded.profile)? {
        let place = write(&recorded, "less.json", &less)?;
        let said = run(recorded.folder.path(), &unused_name("less"), &place, subject.argv);
        ensure!(said.as_ref().ok() != Some(&recorded.says), "it does the same without {what}");
    }
    Ok(())
}

fn same(recorded: &Recorded, starts: usize, start: impl Fn() -> Result<String>) -> Result<()> {
    for number in 1..=starts {
        let said = start().with_context(|| format!("start {number}"))?;
        ensure!(said == recorded.says, "start {number}: {said:?}, not {:?}", recorded.says);
    }
    Ok(())
}

fn write(recorded: &Recorded, name: &str, profile: &Value) -> Result<PathBuf> {
    let place = recorded.folder.path().join(name);
    fs::write(&place, profile.to_string())?;
    Ok(place)
}

/// The profile without the other architecture, and without one call.
fn less(subject: &Subject, profile: &Value) -> Result<[(&'static str, Value); 2]> {
    let (mut no_architecture, mut no_call) = (profile.clone(), profile.clone());
    let architectures = no_architecture["architectures"].as_array_mut().context("no architectures")?;
    architectures.retain(|name| name != subject.other.0.seccomp_arch());
    for rule in no_call["syscalls"].as_array_mut().context("no rules")? {
        rule["names"].as_array_mut().context("no names")?.retain(|name| name != subject.needs);
    }
    Ok([(subject.other.0.seccomp_arch(), no_architecture), (subject.needs, no_call)])
}

/// The profile that Docker's container gave, under other runtimes.
fn bundles() -> Result<()> {
    let recorded = record(&MIXED)?;
    let mut bundle = Bundle::new()?;
    let place = bundle.rootfs().join("abi");
    fs::create_dir(&place)?;
    made(&MIXED, &place)?;
    bundle.argv = MIXED.argv.iter().map(|word| (*word).to_owned()).collect();
    for runtime in ["runc", "crun"] {
        same(&recorded, STARTS, || bundle.start(runtime, 0, false, &recorded.profile)).context(runtime)?;
        for (what, less) in less(&MIXED, &recorded.profile)? {
            let said = bundle.start(runtime, 0, false, &less);
            ensure!(said.ok().as_ref() != Some(&recorded.says), "{runtime}: the same without {what}");
        }
    }
    Ok(())
}
