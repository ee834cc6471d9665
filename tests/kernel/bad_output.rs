//! Files that can't be written: found before COMMAND is started where that can be, and an old file is never lost.

use crate::{
    common::{LIMIT, TestEnv, bare, expect, json, stderr},
    support::{self, Need, Trial},
};
use anyhow::{Context as _, Result, ensure};
use seccomp_trace::recording::Recording;
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

pub fn tests() -> Vec<Trial> {
    let kernel = &[Need::Kernel];
    vec![
        support::test("an_output_that_cannot_be_is_found_before_the_start", kernel, || {
            let case = TestEnv::new()?;
            let read_only = Mount::new(&case, "read-only", "ro")?;
            fs::write(case.file("file"), "")?;
            let outputs = [
                (case.file("no/such/folder"), "mkdir -p"),
                (case.file("read-only/p"), "read-only"),
                (case.file("file/p"), "is not a folder"),
                (case.folder.path().display().to_string(), "it is a folder"),
            ];
            for (output, said) in &outputs {
                for option in ["-o", "--recording"] {
                    not_started(&case, &["run", option, output], 125, &[output, said])?;
                    not_started(&case, &["record", "--cgroup", "/no", option, output], 125, &[output, said])?;
                }
            }
            not_started(&case, &["run", "-o", ""], 125, &["name a file"])?;
            for option in ["--output-dir", "--recording-dir"] {
                for (folder, said) in &outputs[1..3] {
                    not_started(&case, &["record", "--cgroup", "/no", option, folder], 125, &[folder, said])?;
                }
            }
            drop(read_only);
            Ok(())
        }),
        support::test("a_strangers_file_or_link_in_a_shared_folder_is_refused", kernel, strangers),
        support::test("a_disk_that_fills_loses_no_old_file", kernel, full_disk),
        support::test(
            "without_room_for_a_checkpoint_the_one_before_stays",
            &[Need::Kernel, Need::Cc],
            no_room_for_a_checkpoint,
        ),
        support::test("an_old_file_is_replaced_whole", kernel, || {
            let case = TestEnv::new()?;
            for file in ["profile.json", "recording.json"] {
                fs::write(case.file(file), "x".repeat(1_000_000))?;
            }
            expect(&case.run(&[], &["true"])?, 0, &[])?;
            ensure!(case.recording()?.finished && case.profile()?.is_object());
            Ok(())
        }),
        support::test("stdout_takes_the_profile_where_it_is_said_aloud", kernel, || {
            let case = TestEnv::new()?;
            let words = ["run", "-o", "-", "--", "true"];
            let output = support::run_with_timeout(&mut case.program(words), LIMIT)?;
            expect(&output, 0, &["written to stdout"])?;
            let profile: serde_json::Value = serde_json::from_slice(&output.stdout)?;
            ensure!(profile["defaultAction"] == "SCMP_ACT_ERRNO", "{profile}");
            ensure!(case.files()? == [""; 0], "{:?}", case.files()?);
            Ok(())
        }),
        support::test("files_belong_to_who_typed_sudo", kernel, || {
            let case = TestEnv::new()?;
            fs::write(case.file("recording.json"), "root's own")?;
            let mut command = case.run_command(&[], &["true"]);
            command.env("SUDO_UID", "65533").env("SUDO_GID", "65532");
            expect(&support::run_with_timeout(&mut command, LIMIT)?, 0, &[])?;
            // One that was there is whose it was.
            for (file, owner) in [("profile.json", (65533, 65532)), ("recording.json", (0, 0))] {
                let found = fs::metadata(case.file(file))?;
                ensure!((found.uid(), found.gid()) == owner, "{file}: {}:{}", found.uid(), found.gid());
            }
            ensure!(case.recording()?.finished);
            Ok(())
        }),
        support::test("a_full_device_is_told", kernel, || {
            let case = TestEnv::new()?;
            // COMMAND's own failure comes first.
            for (program, code) in [("true", 125), ("false", 1)] {
                let mut command = case.program(["run", "-o", "/dev/full", "--", program]);
                command.env("TMPDIR", case.folder.path());
                let output = support::run_with_timeout(&mut command, LIMIT)?;
                expect(&output, code, &["/dev/full", "No space left", "what was seen of"])?;
                ensure!(case.home.below().is_empty());
            }
            ensure!(case.files()?.len() == 2, "{:?}", case.files()?);
            Ok(())
        }),
    ]
}

/// COMMAND would make a file.
fn not_started(case: &TestEnv, words: &[&str], code: i32, said: &[&str]) -> Result<()> {
    let started = case.file("started");
    let words = [words, &["--", "touch", &started]].concat();
    let output = support::run_with_timeout(&mut case.program(&words), LIMIT)?;
    expect(&output, code, said).with_context(|| format!("{words:?}"))?;
    ensure!(!Path::new(&started).exists(), "{words:?} has started COMMAND");
    ensure!(case.files()? == ["file", "read-only"], "{words:?}: {:?}", case.files()?);
    case.is_clean()
}

/// What a plain user can prepare in /tmp for root. A link of his may name what only root can write.
fn strangers() -> Result<()> {
    let case = TestEnv::new()?;
    let (shared, victim) = (case.file("shared"), case.file("victim"));
    fs::create_dir(&shared)?;
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777))?;
    fs::write(&victim, "root's own")?;
    let (file, link) = (format!("{shared}/file"), format!("{shared}/link"));
    fs::write(&file, "")?;
    symlink(&victim, &link)?;
    for path in [&file, &link] {
        lchown(path, Some(65534), Some(65534))?;
        for words in [&["run", "-o", path][..], &["record", "--cgroup", "/no", "--recording", path]] {
            let mut command = case.program([words, &["--", "true"]].concat());
            let said = [path.as_str(), "another user (uid 65534)", "remove it or choose another path"];
            expect(&support::run_with_timeout(&mut command, LIMIT)?, 125, &said)?;
        }
    }
    ensure!(fs::read_to_string(&victim)? == "root's own");
    // Our own are as good there as anywhere.
    lchown(&link, Some(0), Some(0))?;
    let mut command = case.program(["run", "-o", &link, "--", "true"]);
    expect(&support::run_with_timeout(&mut command, LIMIT)?, 0, &[])?;
    ensure!(json(Path::new(&victim))?.is_object());
    case.is_clean()
}

/// Everything fits when it starts, and nothing when it ends.
fn full_disk() -> Result<()> {
    let case = TestEnv::new()?;
    let disk = Mount::new(&case, "disk", "size=64k")?;
    let (profile, recording) = (case.file("disk/p.json"), case.file("disk/r.json"));
    let files = [(&profile, "the old profile"), (&recording, "the old recording")];
    let room = case.folder.path().join("room");
    fs::create_dir(&room)?;
    let fill = format!("cat /dev/zero >{} 2>/dev/null; true", case.file("disk/filler"));
    let run = ["run", "-o", &profile, "--recording", &recording, "--", "sh", "-c"];
    for (script, code) in [(fill.clone(), 125), (format!("{fill}; exit 9"), 9)] {
        let _ = fs::remove_file(case.file("disk/filler"));
        for (file, old) in files {
            fs::write(file, old)?;
        }
        let mut command = case.program([&run[..], &[&script]].concat());
        command.env("TMPDIR", &room);
        let output = support::run_with_timeout(&mut command, LIMIT)?;
        expect(&output, code, &["No space left", "unchanged", "what was seen of sh is in"])?;
        // Named, whole, and nowhere else.
        let saved: Vec<_> = fs::read_dir(&room)?.flatten().map(|entry| entry.path()).collect();
        let [saved] = saved.as_slice() else { anyhow::bail!("{saved:?}") };
        let file = saved.join("sh.recording.json");
        ensure!(stderr(&output).contains(&file.display().to_string()), "{}", stderr(&output));
        ensure!(Recording::read(&file)?.finished);
        fs::remove_dir_all(saved)?;
        for (file, old) in files {
            let now = fs::read_to_string(file)?;
            // A tmpfs counts its pages by processor: for a short file there may be room on another one.
            let is_told = stderr(&output).contains(&format!("can't write {file}: No space left"));
            let is_whole = serde_json::from_str::<serde_json::Value>(&now).is_ok();
            ensure!(if is_told { now == old } else { is_whole }, "{file}: {now}\n{}", stderr(&output));
        }
        let left: Vec<_> = fs::read_dir(&disk.0)?.flatten().map(|entry| entry.file_name()).collect();
        let known = ["p.json", "r.json", "filler"];
        ensure!(left.iter().all(|name| known.iter().any(|known| name == known)), "{left:?}");
        case.is_clean()?;
    }
    Ok(())
}

/// The one before stays.
fn no_room_for_a_checkpoint() -> Result<()> {
    let case = TestEnv::new()?;
    let _disk = Mount::new(&case, "disk", "size=64k")?;
    let (first, second) = (
        bare(&case, "first", "call(__NR_getitimer, 0, 0, 0);")?,
        bare(&case, "second", "call(__NR_getpriority, 0, 0, 0);")?,
    );
    let (recording, filler) = (case.file("disk/r.json"), case.file("disk/filler"));
    // The recording has the script as well, which must not match itself.
    let script = format!(
        "{first}; until grep -q 'getiti[m]er' {recording}.partial; do sleep 0.02; done
         cat /dev/zero >{filler} 2>/dev/null; {second}; sleep 2.5; cat {recording}.partial >then; rm {filler}"
    );
    let mut command = case.program(["run", "--recording", &recording, "--", "sh", "-c", &script]);
    let output = support::run_with_timeout(&mut command, LIMIT)?;
    let said = "no checkpoint was written";
    expect(&output, 0, &[said, "No space left", "the one before is kept"])?;
    ensure!(stderr(&output).matches(said).count() == 1, "{}", stderr(&output));
    let then = Recording::read(case.file("then").as_ref())?;
    let has = |recording: &Recording, name| {
        recording.syscalls.values().flatten().any(|call| call.name.as_deref() == Some(name))
    };
    ensure!(!then.finished && has(&then, "getitimer") && !has(&then, "getpriority"), "{then:?}");
    ensure!(has(&Recording::read(recording.as_ref())?, "getpriority"));
    Ok(())
}

/// A file system of its own, in the test's folder, unmounted with the value.
struct Mount(PathBuf);

impl Mount {
    fn new(case: &TestEnv, name: &str, options: &str) -> Result<Self> {
        let folder = case.folder.path().join(name);
        fs::create_dir(&folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "seccomp-trace-test"]).arg(&folder);
        expect(&support::run_with_timeout(&mut mount, LIMIT)?, 0, &[])?;
        Ok(Self(folder))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
