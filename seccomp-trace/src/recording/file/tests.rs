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
    self::fifo(&fifo);
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

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn a_checkpoint_replaces_its_own_file_alone() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let mut first = Checkpoint::beside(&path("p")).unwrap();
    assert_eq!((first.found(), first.path()), (vec![], None));
    for content in [b"one", b"two"] {
        first.write(content).unwrap();
        assert_eq!(fs::read(path("p.partial")).unwrap(), content);
    }
    // As if it had been killed.
    let mut second = Checkpoint::beside(&path("p")).unwrap();
    assert_eq!(second.found(), [Found::Killed(path("p.partial"))]);
    second.write(b"three").unwrap();
    assert_eq!(second.path(), Some(path("p.2.partial").as_path()));
    // Ours is removed by somebody, who then has one of his own there.
    fs::rename(path("p.2.partial"), path("old")).unwrap();
    fs::write(path("p.2.partial"), "his").unwrap();
    second.write(b"four").unwrap();
    assert_eq!(fs::read(path("p.3.partial")).unwrap(), b"four");
    fs::remove_file(path("p.3.partial")).unwrap();
    second.write(b"five").unwrap();
    second.remove();
    assert_eq!(entries(folder.path()), ["old", "p.2.partial", "p.partial"]);
    assert_eq!(
        (fs::read(path("p.partial")).unwrap(), fs::read(path("p.2.partial")).unwrap()),
        (b"two".to_vec(), b"his".to_vec())
    );
}

#[test]
fn what_is_planted_under_a_checkpoints_names_stays_and_costs_none() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("target"), "old").unwrap();
    symlink("target", path("p.partial")).unwrap();
    symlink("new", path("p.2.partial")).unwrap();
    fifo(&path("p.3.partial"));
    fs::create_dir(path("p.4.partial")).unwrap();
    let mut checkpoint = Checkpoint::beside(&path("p")).unwrap();
    let planted: Vec<_> = ["partial", "2.partial", "3.partial", "4.partial"]
        .map(|ending| Found::Foreign(path(&format!("p.{ending}"))))
        .into();
    assert_eq!(checkpoint.found(), planted);
    checkpoint.write(b"x").unwrap();
    assert_eq!(checkpoint.path(), Some(path("p.5.partial").as_path()));
    // All that can be foreseen.
    for count in 5..=99 {
        let _ = fs::remove_file(path(&format!("p.{count}.partial")));
        fs::create_dir(path(&format!("p.{count}.partial"))).unwrap();
    }
    checkpoint.write(b"y").unwrap();
    assert_eq!(fs::read(checkpoint.path().unwrap()).unwrap(), b"y");
    checkpoint.remove();
    assert_eq!(fs::read(path("target")).unwrap(), b"old");
    assert_eq!(entries(folder.path()).len(), 100);
    assert!(
        Checkpoint::beside(folder.path()).is_none() && Checkpoint::beside(Path::new("/dev/full")).is_none()
    );
}

#[test]
fn what_a_stranger_left_where_he_may_write_is_refused() {
    let folder = folder();
    let [file, link, new, pipe] = ["file", "link", "new", "pipe"].map(|name| folder.path().join(name));
    fs::write(&file, "old").unwrap();
    symlink("file", &link).unwrap();
    fifo(&pipe);
    fs::create_dir(folder.path().join("sub")).unwrap();
    symlink("sub", folder.path().join("way")).unwrap();
    let way = folder.path().join("way/p");
    let us = Trusted::of_process();
    // All is then a stranger's.
    let nobody = Trusted(vec![u32::MAX]);
    let set = |mode| fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
    let refused = |path: &Path, named: &str| {
        let problem = resolve(path, true, &nobody).err().unwrap().to_string();
        assert!(problem.contains(folder.path().join(named).to_str().unwrap()), "{problem}");
        assert!(problem.contains("another user") && problem.contains("remove it or choose"), "{problem}");
        assert!(place::make_folder(&folder.path().join("way"), &nobody).is_err());
        assert!(resolve(path, true, &us).is_ok());
    };
    for mode in [0o1777, 0o777, 0o775, 0o755] {
        set(mode);
        refused(&link, "link");
        refused(&pipe, "pipe");
        refused(&way, "way");
        assert!(resolve(&new, true, &nobody).is_ok());
    }
    set(0o1777);
    refused(&file, "file");
    // His own file in his own folder is replaced and not opened; neither its mode nor its owner is one of ours to keep.
    set(0o755);
    for (trusted, is_kept) in [(&nobody, false), (&us, true)] {
        let Ok(Place::Regular(Regular { old: Some(old), .. })) = resolve(&file, true, trusted) else {
            panic!("an old file")
        };
        assert_eq!(old.kept.is_some(), is_kept);
    }
}

#[test]
fn a_folder_is_made_with_all_above_it() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    symlink("real/deep", path("link")).unwrap();
    fs::write(path("file"), "").unwrap();
    for (made, there) in [("a/b/../c", "a/c"), ("link/x", "real/deep/x"), ("a", "a/b")] {
        check_folder(&path(made)).unwrap();
        make_folder(&path(made)).unwrap();
        make_folder(&path(made)).unwrap();
        assert!(path(there).is_dir(), "{there}");
    }
    assert_eq!(entries(folder.path()), ["a", "file", "link", "real"]);
    for refused in ["file", "file/x"] {
        let [check, make] =
            [check_folder(&path(refused)), make_folder(&path(refused))].map(Result::unwrap_err);
        assert!(check.to_string().contains("is not a folder"), "{check}");
        assert_eq!(check.to_string(), make.to_string());
    }
    let error = check_folder(Path::new("/proc/no/such")).unwrap_err().to_string();
    assert!(
        error.starts_with("can't write /proc/no/such: nothing can be written in the folder /proc "),
        "{error}"
    );
    assert!(make_folder(Path::new("/proc/no/such")).unwrap_err().to_string().contains("can't be made"));
}

#[test]
fn what_has_no_place_goes_into_a_folder_of_our_own() {
    let path = write_elsewhere("x.json", b"x").unwrap();
    let folder = path.parent().unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode(folder)), (b"x".to_vec(), 0o700));
    fs::remove_dir_all(folder).unwrap();
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
    replace(&place, b"x", true, Over::Old).unwrap();
    assert_eq!((entries(&moved), entries(&victim)), (vec!["p".to_owned()], Vec::new()));
}
