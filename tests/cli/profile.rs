//! generate and tracing-profile as a user types them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use predicates::prelude::*;
use predicates::str::contains;

use crate::{fixture, seccomp_trace};

fn entries(folder: &std::path::Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_recording_becomes_a_profile_on_stdout_and_the_rest_goes_to_stderr() {
    let output = seccomp_trace()
        .args(["generate", "--runtimes", "exact", &fixture("recording-v2.json")])
        .assert()
        .success()
        .stderr(contains("warning: web: 1 event was lost").and(contains("x86_64 999")));
    insta::assert_snapshot!(String::from_utf8(output.get_output().stdout.clone()).unwrap());
}

#[test]
fn the_same_input_gives_the_same_bytes_by_file_and_by_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("p.json");
    let recording = fixture("recording-v2.json");
    seccomp_trace().arg("generate").arg(&recording).arg("-o").arg(&out).assert().success().stdout("");
    let stdin = fs::read(&recording).unwrap();
    for args in [&["generate", "-"][..], &["generate", "-", recording.as_str()]] {
        let output = seccomp_trace().args(args).write_stdin(stdin.clone()).assert().success();
        assert_eq!(output.get_output().stdout, fs::read(&out).unwrap());
    }
}

#[test]
fn a_recording_is_not_replaced_by_its_profile() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("r.json");
    fs::copy(fixture("recording-v2.json"), &recording).unwrap();
    let mut command = seccomp_trace();
    command.arg("generate").arg(&recording).arg("-o").arg(folder.path().join("./r.json"));
    command.assert().code(2).stderr(contains("is an input as well"));
    assert_eq!(fs::read(&recording).unwrap(), fs::read(fixture("recording-v2.json")).unwrap());
}

#[test]
fn verbose_names_each_reason_and_quiet_keeps_the_warnings() {
    let recording = fixture("recording-v2.json");
    seccomp_trace().args(["generate", "-v", &recording]).assert().success().stderr(
        contains("allow accept4: seen: made by the application")
            .and(contains("allow rt_sigreturn: always: every signal handler returns through it"))
            .and(contains("needs it to start a container"))
            .and(contains("errno 38 for clone3: ENOSYS")),
    );
    seccomp_trace()
        .args(["generate", "-q", &recording])
        .assert()
        .success()
        .stderr(contains("warning: ").and(contains("note: ").not()));
}

#[test]
fn colours_are_for_terminals_and_for_who_wants_them() {
    let recording = fixture("recording-v2.json");
    let run = |args: &[&str]| {
        let output = seccomp_trace().arg("generate").arg(&recording).args(args).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!run(&[]).contains('\u{1b}'));
    assert!(!run(&["--color", "never"]).contains('\u{1b}'));
    assert!(run(&["--color", "always"]).contains("\u{1b}["));
}

#[test]
fn bad_input_gives_one_message_and_2_and_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (out, bad) = (folder.path().join("p.json"), folder.path().join("bad.json"));
    for (content, message) in [
        ("", "it is empty"),
        ("{\n  nonsense", "it is not JSON: key must be a string at line 2 column 3"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}"#, "it is a seccomp profile"),
        (r#"{"kind":"recording","version":7}"#, "its version is 7"),
    ] {
        fs::write(&bad, content).unwrap();
        seccomp_trace().arg("generate").arg(&bad).arg("-o").arg(&out).assert().code(2).stdout("").stderr(
            contains("error: can't read the recording ").and(contains(message)).and(contains("bad.json")),
        );
        assert!(!out.exists());
    }
}

#[test]
fn a_recording_that_lacks_calls_makes_no_profile_unless_that_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let (out, recording) = (folder.path().join("p.json"), folder.path().join("r.json"));
    let text = fs::read_to_string(fixture("recording-v2.json")).unwrap();
    for (whole, lacking, said) in [
        ("\"finished\": true", "\"finished\": false", "it is a checkpoint"),
        ("\"syscalls\": 0", "\"syscalls\": 3", "3 syscalls are lost"),
        (
            "\"task_origins\": 0\n",
            "\"task_origins\": 0, \"missed_runs\": 7\n",
            "the kernel skipped its tracing 7 times",
        ),
    ] {
        assert!(text.contains(whole), "{whole}");
        fs::write(&recording, text.replace(whole, lacking)).unwrap();
        fs::write(&out, "old").unwrap();
        // A whole one beside it makes up for nothing.
        let mut generate = seccomp_trace();
        generate.arg("generate").arg(fixture("recording-v2.json")).arg(&recording).arg("-o").arg(&out);
        let named = format!("{} (web): {said}", recording.display());
        generate.assert().code(2).stderr(contains(named).and(contains("--allow-incomplete")));
        assert_eq!(fs::read_to_string(&out).unwrap(), "old");
        generate.arg("--allow-incomplete").assert().success();
        assert!(fs::read_to_string(&out).unwrap().contains("defaultAction"));
    }
}

#[test]
fn an_input_larger_than_any_recording_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.json");
    fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    for input in [large.to_str().unwrap(), "/dev/zero"] {
        let said = contains(input).and(contains("larger than 64 MiB"));
        seccomp_trace().args(["generate", input]).assert().code(2).stdout("").stderr(said);
    }
}

#[test]
fn nothing_seen_is_an_error_and_the_old_profile_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (out, recording) = (folder.path().join("p.json"), folder.path().join("r.json"));
    let text = fs::read_to_string(fixture("recording-v2.json")).unwrap();
    fs::write(&recording, text.replace("\"application\"", "\"runtime\"")).unwrap();
    fs::write(&out, "old").unwrap();
    let assert = seccomp_trace().arg("generate").arg(&recording).arg("-o").arg(&out).assert();
    assert.code(2).stderr(contains("no syscall of an application was seen in \"web\""));
    assert_eq!(fs::read_to_string(&out).unwrap(), "old");
}

#[test]
fn usage_errors_are_2_and_name_what_there_is() {
    let recording = fixture("recording-v2.json");
    for (args, message) in [
        (&["generate"][..], "INPUT"),
        (&["generate", &recording, "--runtimes", "youki"], "crun, crun-1.28"),
        (&["generate", &recording, "--runtimes", "all,runc"], "all and exact stand alone"),
        (&["generate", &recording, "--format", "yaml"], "oci"),
        (&["generate", "-", "-"], "stdin (-) is named twice"),
        (&["generate", "-q", "-v", &recording], "cannot be used with"),
        (&[], "Usage"),
        (&["nonsense"], "nonsense"),
    ] {
        seccomp_trace().args(args).assert().code(2).stdout("").stderr(contains(message));
    }
}

#[test]
fn what_cannot_be_written_is_found_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let recording = fixture("recording-v2.json");
    let generate = |out: &std::path::Path| {
        seccomp_trace().args(["generate", "-q", &recording, "-o"]).arg(out).assert().code(2)
    };
    generate(&folder.path().join("new/p.json")).stderr(contains("does not exist; make it first (mkdir -p "));
    generate(folder.path()).stderr(contains("it is a folder"));
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn a_read_only_folder_or_file_is_found_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.json");
    fs::write(&old, "old").unwrap();
    let set = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let refused = |out: &std::path::Path, said: &str| {
        let generate =
            plainly().args(["generate", "-q", &fixture("recording-v2.json"), "-o"]).arg(out).output();
        let output = generate.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said) && stderr.contains(out.to_str().unwrap()), "{stderr}");
    };
    set(&old, 0o400);
    refused(&old, "the file may not be written (Permission denied");
    set(folder.path(), 0o500);
    refused(&folder.path().join("p.json"), "nothing can be written in the folder");
    set(folder.path(), 0o700);
    assert_eq!((fs::read(&old).unwrap().as_slice(), entries(folder.path())), (&b"old"[..], 1));
}

/// The program without root's right to write everywhere, which would hide what a plain user meets. Root
/// stays root otherwise: another user may not reach the program at all.
fn plainly() -> Command {
    let program = env!("CARGO_BIN_EXE_seccomp-trace");
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-dac_override", "--inh-caps", "-dac_override", program]);
    command
}

/// A disk that is full, as a limit on the file's size: the same path through the program, without root.
#[test]
fn a_full_disk_leaves_the_old_file_whole_and_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("p.json");
    let old = "o".repeat(4096);
    fs::write(&out, &old).unwrap();
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_seccomp-trace"), "generate", "-o"])
        .arg(&out)
        .arg(fixture("recording-v2.json"))
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("File too large") && stderr.contains("an old file there is unchanged"),
        "{stderr}"
    );
    assert_eq!(fs::read_to_string(&out).unwrap(), old);
    assert_eq!(entries(folder.path()), 1);
}

#[test]
fn a_reader_who_goes_away_is_no_error() {
    let script = "\"$0\" generate -q \"$1\" | true; \"$0\" tracing-profile | true; echo ${PIPESTATUS[*]}";
    let output = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_seccomp-trace"), &fixture("recording-v2.json")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 0\n");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("error"));
}

#[test]
fn a_hostile_containers_name_reaches_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("r.json");
    let text = fs::read_to_string(fixture("recording-v2.json")).unwrap();
    let hostile = "\"name\": \"we\\u001b]0;x\\u0007b\\u202e\"";
    fs::write(&recording, text.replace("\"name\": \"web\"", hostile)).unwrap();
    let output = seccomp_trace().arg("generate").arg(&recording).assert().success();
    let stderr = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(stderr.contains(r"we\u{1b}]0;x\u{7}b\u{202e}: 1 event"), "{stderr}");
}

#[test]
fn the_tracing_profile_goes_to_stdout_or_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("tracing.json");
    seccomp_trace().args(["tracing-profile", "-o"]).arg(&out).assert().success().stdout("");
    let output = seccomp_trace().arg("tracing-profile").assert().success().stderr("");
    assert_eq!(output.get_output().stdout, fs::read(&out).unwrap());
    let profile: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ALLOW");
}
