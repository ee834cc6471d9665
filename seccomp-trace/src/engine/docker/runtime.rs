//! Which low-level runtime is behind the name that Docker calls it, and its version: what its own
//! `--version` prints. Docker calls a wrapper of crun whatever it was told to.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::engine::sandbox::sandbox;

/// `runc --version` takes some 10 ms.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longer ones are no versions.
const LONGEST: usize = 64;

/// A runtime: its name (`runc`, `crun`), and its version where it could be asked.
pub(in crate::engine) type Runtime = (String, Option<String>);

/// Finds out what the runtime `name` is. `paths` are those of `docker info`, by name; `versions` are
/// those of `docker version`, where only the default runtime's is.
pub(in crate::engine) async fn identify(
    name: &str,
    paths: &HashMap<String, String>,
    versions: &HashMap<String, String>,
) -> Runtime {
    // Docker's own shim of runc, under containerd's names.
    let plain = match name {
        "io.containerd.runc.v1" | "io.containerd.runc.v2" | "io.containerd.runtime.v1.linux" => "runc",
        _ => name,
    };
    let told = versions.get(name).or_else(|| versions.get(plain)).cloned();
    // A sandbox is known by the engine's name for it, or by its file: no need to run it.
    if sandbox(plain).is_some() {
        return (plain.to_owned(), told);
    }
    let path = paths.get(name).or_else(|| paths.get(plain)).map(String::as_str).unwrap_or_default();
    if sandbox(path).is_some() {
        return (path.rsplit('/').next().unwrap_or(path).to_owned(), told);
    }
    match version_of(path).await {
        Some((program, version)) => (program, Some(version)),
        None => (plain.to_owned(), told),
    }
}

async fn version_of(path: &str) -> Option<(String, String)> {
    let file = locate(path)?;
    let mut command = tokio::process::Command::new(file);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| parse(&String::from_utf8_lossy(&output.stdout)))?
}

/// The file that Docker runs for this path; only one that nobody but root can have put there, since
/// this process is root and an engine need not be.
fn locate(path: &str) -> Option<PathBuf> {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let file = match path {
        "" => return None,
        _ if path.starts_with('/') => PathBuf::from(path),
        _ if path.contains('/') => return None,
        _ => folders.iter().map(|folder| Path::new(folder).join(path)).find(|file| file.is_file())?,
    };
    let file = file.canonicalize().ok()?;
    let is_roots = |path: &Path| {
        // Sticky folders included: in /tmp anybody can make a folder.
        path.metadata().is_ok_and(|metadata| metadata.uid() == 0 && metadata.mode() & 0o022 == 0)
    };
    (file.is_file() && file.ancestors().all(is_roots)).then_some(file)
}

/// From `runc version 1.1.5+ds1`, `crun version 1.8.1`, `youki version: 0.5.0`.
fn parse(text: &str) -> Option<(String, String)> {
    let mut words = text.lines().next()?.split_whitespace();
    let (name, label, version) = (words.next()?, words.next()?, words.next()?);
    let is_plain = |word: &str| word.len() <= LONGEST && word.bytes().all(|byte| byte.is_ascii_graphic());
    let matches = label.trim_end_matches(':') == "version" && is_plain(name) && is_plain(version);
    matches.then(|| (name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let runc = "runc version 1.1.5+ds1\ncommit: 1.1.5\nspec: 1.0.2-dev\n";
        assert_eq!(parse(runc), Some(("runc".to_owned(), "1.1.5+ds1".to_owned())));
        let crun = "crun version 1.8.1\ncommit: f8a096be\n";
        assert_eq!(parse(crun), Some(("crun".to_owned(), "1.8.1".to_owned())));
        assert_eq!(parse("youki version: 0.5.0"), Some(("youki".to_owned(), "0.5.0".to_owned())));
        for other in ["", "\n", "runc", "usage: x", "a version \u{1b}[31m", "kata-runtime  : 3.2.0"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn only_roots_own_files_are_run() {
        assert_eq!(locate("sh"), Path::new("/bin/sh").canonicalize().ok());
        for path in ["", "no-such-runtime", "./sh", "bin/sh", "/no/such", "/bin"] {
            assert_eq!(locate(path), None, "{path}");
        }
        // Below the world-writable /tmp.
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let file = folder.path().join("runc");
        std::fs::write(&file, "").unwrap();
        assert_eq!(locate(file.to_str().unwrap()), None);
    }

    #[tokio::test]
    async fn what_cannot_be_asked_keeps_what_docker_says() {
        let versions = [("runc".to_owned(), "1.1.5".to_owned())].into();
        let paths = [("box".to_owned(), "/opt/runsc".to_owned())].into();
        let known = ("runc".to_owned(), Some("1.1.5".to_owned()));
        assert_eq!(identify("io.containerd.runc.v2", &paths, &versions).await, known);
        assert_eq!(identify("other", &paths, &versions).await, ("other".to_owned(), None));
        assert_eq!(identify("box", &paths, &versions).await, ("runsc".to_owned(), None));
    }
}
