//! Two results can't go to one file.

use std::{fs, os::unix::fs::symlink};

use predicates::str::contains;

use crate::seccomp_trace;

#[test]
fn profile_and_recording_in_one_file_are_refused_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("real")).unwrap();
    symlink("real", folder.path().join("link")).unwrap();
    let absolute = folder.path().join("x").display().to_string();
    for (profile, recording) in [
        ("x", "x"),
        ("x", "./x"),
        ("./x", "x"),
        ("x", absolute.as_str()),
        ("real/x", "link/x"),
        ("link/../x", "x"),
    ] {
        for there in [false, true] {
            if there {
                fs::write(folder.path().join(profile), "old").unwrap();
            }
            // There is no such cgroup, and COMMAND would be seen.
            for (command, code) in
                [(&["record", "--cgroup", "/no/such"][..], 2), (&["run"], 125), (&["record", "--all"], 125)]
            {
                let mut program = seccomp_trace();
                program.args(command).args(["-o", profile, "--recording", recording]);
                if code == 125 {
                    program.args(["--", "touch", "started"]);
                }
                program
                    .current_dir(folder.path())
                    .assert()
                    .code(code)
                    .stdout("")
                    .stderr(contains("-o and --recording are one file"));
            }
            assert!(!folder.path().join("started").exists());
            assert_eq!(fs::read_to_string(folder.path().join(profile)).is_ok_and(|old| old == "old"), there);
        }
        fs::remove_file(folder.path().join(profile)).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
