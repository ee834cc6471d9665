//! Output files in a folder of their own. What only an unprivileged user meets (a read-only folder) is
//! tested in tests/cli.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_file_is_written_whole_and_nothing_is_left_beside_it() {
    let folder = folder();
    let path = folder.path().join("p.json");
    check_writable(&path).unwrap();
    assert_eq!(entries(folder.path()), Vec::<String>::new());
    write(&path, b"one").unwrap();
    write(&path, b"2").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"2");
    assert_eq!(entries(folder.path()), ["p.json"]);
}

#[test]
fn a_new_file_has_the_mode_of_any_new_file_and_an_old_one_keeps_its_own() {
    let folder = folder();
    let (ours, others) = (folder.path().join("ours"), folder.path().join("others"));
    File::create(&others).unwrap();
    write(&ours, b"x").unwrap();
    assert_eq!(mode(&ours), mode(&others));
    for kept in [0o600, 0o666, 0o640] {
        fs::set_permissions(&ours, Permissions::from_mode(kept)).unwrap();
        write(&ours, b"y").unwrap();
        assert_eq!(mode(&ours), kept);
    }
}

#[test]
fn checking_changes_nothing() {
    let folder = folder();
    let path = folder.path().join("p.json");
    fs::write(&path, "old").unwrap();
    let before = fs::metadata(&path).unwrap();
    check_writable(&path).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn a_link_stays_a_link() {
    let folder = folder();
    let (target, first, second) =
        (folder.path().join("target"), folder.path().join("first"), folder.path().join("second"));
    symlink("target", &first).unwrap();
    symlink(&first, &second).unwrap();
    // Dangling at first.
    for content in [b"one", b"two"] {
        check_writable(&second).unwrap();
        write(&second, content).unwrap();
        assert_eq!(fs::read(&target).unwrap(), content);
    }
    assert!(first.is_symlink() && second.is_symlink());
    symlink("loop", folder.path().join("loop")).unwrap();
    let error = write(&folder.path().join("loop"), b"x").unwrap_err();
    assert!(error.to_string().contains("symbolic links"), "{error}");
}

#[test]
fn what_is_no_file_is_written_as_it_is() {
    check_writable(Path::new("/dev/null")).unwrap();
    write(Path::new("/dev/null"), b"x").unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let error = write(Path::new("/dev/full"), b"x").unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");

    let folder = folder();
    let fifo = folder.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // It must not wait for a reader.
    check_writable(&fifo).unwrap();
    let error = write(&fifo, b"nobody").unwrap_err();
    assert!(error.to_string().contains("nobody reads it"), "{error}");
    let reader = {
        let fifo = fifo.clone();
        std::thread::spawn(move || fs::read(fifo).unwrap())
    };
    write(&fifo, b"through").unwrap();
    assert_eq!(reader.join().unwrap(), b"through");
}

#[test]
fn a_path_that_cannot_be_written_says_why_and_what_to_do() {
    let folder = folder();
    let root = folder.path().to_str().unwrap().to_owned();
    fs::write(folder.path().join("file"), "x").unwrap();
    symlink("nowhere/x", folder.path().join("link")).unwrap();
    let messages: Vec<_> = ["", "nowhere/p.json", "nowhere/", "new/..", "file/p.json", "link"]
        .into_iter()
        .map(|name| folder.path().join(name))
        .chain([PathBuf::new(), PathBuf::from("/sys/p.json")])
        .map(|path| {
            let [check, write] =
                [check_writable(&path), write(&path, b"x")].map(|it| it.unwrap_err().to_string());
            assert_eq!(check, write);
            check.replace(&root, "ROOT")
        })
        .collect();
    insta::assert_snapshot!(messages.join("\n"));
    assert_eq!(entries(folder.path()), ["file", "link"]);
}

#[test]
fn a_checkpoint_is_a_file_and_follows_no_link() {
    let folder = folder();
    let path = folder.path().join("p.partial");
    for content in [b"one", b"two"] {
        write_checkpoint(&path, content).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    fs::write(folder.path().join("target"), "old").unwrap();
    for (name, target) in [("link", "target"), ("dangling", "new"), ("device", "/dev/null")] {
        symlink(target, folder.path().join(name)).unwrap();
        let error = write_checkpoint(&folder.path().join(name), b"x").unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("in the way of a checkpoint; remove it"), "{error}");
    }
    assert!(write_checkpoint(folder.path(), b"x").is_err());
    assert!(write_checkpoint(Path::new("/dev/full"), b"x").is_err());
    assert_eq!(fs::read(folder.path().join("target")).unwrap(), b"old");
    assert_eq!(entries(folder.path()), ["dangling", "device", "link", "p.partial", "target"]);
}

#[test]
fn what_a_stranger_left_where_everybody_may_write_is_refused() {
    let folder = folder();
    let [file, link, new] = ["file", "link", "new"].map(|name| folder.path().join(name));
    fs::write(&file, "old").unwrap();
    symlink("file", &link).unwrap();
    let us = Trusted::of_process();
    let nobody = Trusted(Vec::new());
    let set = |mode| fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
    for mode in [0o1777, 0o777] {
        set(mode);
        for path in [&file, &link] {
            let problem = resolve(path, true, &nobody).err().unwrap().to_string();
            assert!(problem.contains(path.to_str().unwrap()), "{problem}");
            assert!(problem.contains("another user") && problem.contains("remove it or choose"), "{problem}");
            assert!(resolve(path, true, &us).is_ok());
        }
        assert!(resolve(&new, true, &nobody).is_ok());
    }
    // Nobody else can have put it there; but neither its mode nor its owner is one of ours to keep.
    set(0o755);
    for (trusted, is_kept) in [(&nobody, false), (&us, true)] {
        let Ok(Place::Regular(Regular { old: Some(old), .. })) = resolve(&link, true, trusted) else {
            panic!("an old file")
        };
        assert_eq!(old.kept.is_some(), is_kept);
    }
}

#[test]
fn what_was_found_stays_though_its_path_leads_elsewhere_by_now() {
    let folder = folder();
    let [ours, moved, victim, link] =
        ["ours", "moved", "victim", "link"].map(|name| folder.path().join(name));
    fs::create_dir(&ours).unwrap();
    fs::create_dir(&victim).unwrap();
    symlink("ours/p", &link).unwrap();
    let Ok(Place::Regular(place)) = resolve(&link, true, &Trusted::of_process()) else { panic!("a place") };
    fs::rename(&ours, &moved).unwrap();
    symlink("victim", &ours).unwrap();
    replace(&place, b"x", true).unwrap();
    assert_eq!((entries(&moved), entries(&victim)), (vec!["p".to_owned()], Vec::new()));
}
