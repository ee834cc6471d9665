//! Finding and starting commands, as a plain user.

use super::*;

#[test]
fn commands_are_found_as_a_shell_finds_them() {
    assert!(resolve(OsStr::new("sh")).unwrap().is_absolute());
    assert_eq!(resolve(OsStr::new("/bin/sh")).unwrap(), Path::new("/bin/sh"));
    assert_eq!(resolve(OsStr::new("no-such-command-here")).unwrap_err().exit_code(), 127);
    assert_eq!(resolve(OsStr::new("/no/such/path")).unwrap_err().exit_code(), 127);
    assert_eq!(resolve(OsStr::new("/etc/passwd")).unwrap_err().exit_code(), 126);
    assert_eq!(resolve(OsStr::new("/etc")).unwrap_err().exit_code(), 126);
}

fn started(program: &Path, cgroup_procs: &str, user: Option<&User>) -> CommandError {
    let procs = File::options().write(true).open(cgroup_procs).unwrap();
    let waiting = GatedChild::start(program.to_owned(), &["it".into()], procs, user, Streams::default());
    waiting.and_then(GatedChild::execute).unwrap_err()
}

#[tokio::test]
async fn a_command_is_executed_once_it_is_let() {
    for (is_let, printed) in [(true, "it ran"), (false, "")] {
        let (mut reader, writer) = io::pipe().unwrap();
        let streams = Streams { stdout: Some(writer.into()), ..Streams::default() };
        let procs = File::options().write(true).open("/dev/null").unwrap();
        let argv = ["sh", "-c", "printf 'it ran'"].map(OsString::from);
        let waiting = GatedChild::start("/bin/sh".into(), &argv, procs, None, streams).unwrap();
        if is_let {
            assert!(waiting.execute().unwrap().wait().await.unwrap().success());
        } else {
            drop(waiting);
        }
        let mut told = String::new();
        io::Read::read_to_string(&mut reader, &mut told).unwrap();
        assert_eq!(told, printed);
    }
}

#[tokio::test]
async fn what_is_not_the_commands_fault_names_the_step_and_is_125() {
    let shell = Path::new("/bin/sh");
    // A cgroup that takes no process: every write fails.
    let error = started(shell, "/dev/full", None);
    assert!(error.to_string().contains("/bin/sh was not started: entering its cgroup failed (No space"));
    assert_eq!(error.exit_code(), 125);
    // No user is -1, also for root.
    let user = User { uid: u32::MAX, gid: u32::MAX, groups: vec![u32::MAX] };
    let error = started(shell, "/dev/null", Some(&user));
    assert!(error.to_string().contains("becoming the user failed ("), "{error}");
    assert_eq!(error.exit_code(), 125);
}

#[tokio::test]
async fn what_the_kernel_cannot_execute_is_126() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it");
    // Written by another process: a fork of another test must not have it open (ETXTBSY).
    let script = "echo '#!/no/such' >it && chmod +x it";
    let made = std::process::Command::new("sh").args(["-c", script]).current_dir(&folder).status();
    assert!(made.unwrap().success());
    let error = started(&path, "/dev/null", None);
    assert!(error.to_string().contains("not executable: its interpreter does not exist"), "{error}");
    assert_eq!(error.exit_code(), 126);
}
