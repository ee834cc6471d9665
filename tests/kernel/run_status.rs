//! `run`: COMMAND is started as if nobody watched, and its status is ours.

use crate::{
    common::{TestEnv, expect, stderr},
    support::{self, Need, Trial},
};
use anyhow::{Context as _, Result, ensure};
use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

pub fn tests() -> Vec<Trial> {
    let kernel = &[Need::Kernel];
    vec![
        support::test("the_exit_status_is_the_commands", kernel, || {
            for (script, code) in
                [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 137)]
            {
                let case = TestEnv::new()?;
                expect(&case.run(&[], &["sh", "-c", script])?, code, &[])?;
                ensure!(case.profile_path().exists(), "{script}: no profile was written");
                ensure!(case.recording()?.finished, "{script}: the recording is not whole");
            }
            Ok(())
        }),
        support::test("a_command_that_cannot_be_started_leaves_nothing", kernel, not_started),
        support::test("the_standard_streams_are_the_commands", kernel, streams),
        support::test("the_command_gets_what_it_would_get_without_us", kernel, inherited),
        support::test("the_user_is_taken_with_all_groups", kernel, user),
        support::test("the_cgroup_of_a_run_is_below_the_callers", kernel, || {
            let case = TestEnv::new()?;
            let output = case.run(&[], &["cat", "/proc/self/cgroup"])?;
            expect(&output, 0, &[])?;
            let said = String::from_utf8(output.stdout)?;
            let expected = format!("0::{}/seccomp-trace.", case.home.path);
            ensure!(said.lines().any(|line| line.starts_with(&expected)), "{said}");
            Ok(())
        }),
    ]
}

fn not_started() -> Result<()> {
    let case = TestEnv::new()?;
    let plain = case.file("plain");
    fs::write(&plain, "#!/bin/sh\n")?;
    let no_interpreter = case.file("no-interpreter");
    fs::write(&no_interpreter, "#!/no/such/interpreter\n")?;
    fs::set_permissions(&no_interpreter, fs::Permissions::from_mode(0o755))?;
    for (command, code, said) in [
        ("no-such-command-here", 127, "command not found"),
        ("/no/such/folder/command", 127, "command not found"),
        ("/etc", 126, "it is a folder"),
        (&plain, 126, "not executable"),
        (&no_interpreter, 126, "not executable: its interpreter"),
    ] {
        expect(&case.run(&[], &[command])?, code, &[command, said])?;
        ensure!(case.files()? == ["no-interpreter", "plain"], "{command}: {:?}", case.files()?);
    }
    // No user is -1: not the command's fault.
    let nobody = ["--user", "4294967295"];
    expect(&case.run(&nobody, &["true"])?, 125, &["true was not started: becoming the user failed ("])?;
    ensure!(case.files()? == ["no-interpreter", "plain"], "{:?}", case.files()?);
    Ok(())
}

fn streams() -> Result<()> {
    let case = TestEnv::new()?;
    let data: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(case.file("in"), &data)?;
    // Of a set that every host's libseccomp knows: a warning would be our own.
    let options = ["--quiet", "--runtimes", "runc-1.1.5"];
    let mut command = case.run_command(&options, &["sh", "-c", "cat; echo its own >&2"]);
    command.stdin(Stdio::from(fs::File::open(case.file("in"))?));
    let output = case.finish(support::Running::start(&mut command)?)?;
    expect(&output, 0, &[])?;
    ensure!(output.stdout == data, "{} bytes came out", output.stdout.len());
    ensure!(stderr(&output) == "its own\n", "{}", stderr(&output));
    Ok(())
}

/// Signal 33, which the C library keeps to itself: it handles it from a program's first thread on (signal(7)).
const SIGSETXID: u64 = 1 << 32;

/// Signals that it ignores (nohup) or blocks, open files, the environment, the working folder.
fn inherited() -> Result<()> {
    let case = TestEnv::new()?;
    let show = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd; pwd; ulimit -a; umask; env | grep -v ^_= | sort | sha256sum";
    // The signals that are ignored, and all else.
    let nohup = |words: &std::process::Command| -> Result<(u64, String)> {
        let mut command = case.command(["sh", "-c", "trap '' HUP USR1; exec \"$@\"", "sh"]);
        command.arg(words.get_program()).args(words.get_args());
        let output = support::run_with_timeout(&mut command, crate::common::LIMIT)?;
        expect(&output, 0, &[])?;
        let said = String::from_utf8(output.stdout)?;
        let line = said.lines().find(|line| line.starts_with("SigIgn:")).with_context(|| said.clone())?;
        let ignored = u64::from_str_radix(line.trim_start_matches("SigIgn:").trim(), 16)?;
        Ok((ignored & !SIGSETXID, said.replace(line, "")))
    };
    let mut plain = std::process::Command::new("sh");
    let (plain, traced) =
        (nohup(plain.args(["-c", show]))?, nohup(&case.run_command(&[], &["sh", "-c", show]))?);
    ensure!(plain == traced, "without: {plain:x?}\nwith: {traced:x?}");
    // HUP is signal 1, USR1 is 10.
    ensure!(plain.0 & 0x201 == 0x201, "{plain:x?}");
    case.is_clean()
}

fn user() -> Result<()> {
    let case = TestEnv::new()?;
    for (user, expected) in
        [("nobody", "65534 65534 65534\n"), ("12345:77", "12345 77 77\n"), ("12345", "12345 12345 12345\n")]
    {
        let output = case.run(&["--user", user], &["sh", "-c", "echo $(id -u) $(id -g) $(id -G)"])?;
        expect(&output, 0, &[])?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(said == expected, "--user {user}: {said:?}");
    }
    Ok(())
}
