//! The image that all the programs run in: a small Debian root file system by debootstrap, imported
//! into Docker. It is built once and kept: its tag is the hash of its recipe.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::command;
use crate::support::{docker, find_program, run_with_timeout};

const SUITE: &str = "bookworm";
const PACKAGES: [&str; 5] = ["gawk", "nginx-light", "python3", "redis-server", "redis-tools"];
/// Nothing that a program reads: half of the tree's size.
const LEFT_OUT: [&str; 5] = [
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/apt",
    "./var/lib/apt/lists/*",
];
const SHORT: Duration = Duration::from_secs(60);
/// A minute on a good network, mostly downloads.
const BUILD: Duration = Duration::from_secs(1200);

/// The image's name; the first caller builds it where it isn't there yet, the others wait.
pub fn name() -> Result<&'static str> {
    static NAME: OnceLock<Result<String, String>> = OnceLock::new();
    NAME.get_or_init(|| built().map_err(|error| format!("{error:#}")))
        .as_deref()
        .map_err(|error| anyhow!("{error}"))
}

fn built() -> Result<String> {
    let name = format!("seccomp-trace-test:{:016x}", hash(&format!("{SUITE} {PACKAGES:?} {LEFT_OUT:?}")));
    // Two test runs at once: the second one finds the first one's image.
    let lock_path = std::env::temp_dir().join("seccomp-trace-test-image.lock");
    let lock = File::create(&lock_path).with_context(|| format!("{}", lock_path.display()))?;
    lock.lock()?;
    if exists(&name)? {
        return Ok(name);
    }
    #[expect(clippy::print_stderr, reason = "a minute of silence looks like a hang")]
    let say = |line: &str| eprintln!("test image {name}: {line}");
    say("building it from Debian packages, once; this takes about a minute");
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("image-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let root = folder.path().join("root");
    debootstrap(&root)?;
    say("importing it into Docker");
    import(&root, &name)?;
    say(&format!("built in {} s", began.elapsed().as_secs()));
    Ok(name)
}

fn exists(name: &str) -> Result<bool> {
    let listed = command::output(docker().args(["image", "ls", "--quiet", name]), SHORT)
        .context("the programs' image needs Docker (Debian's package: docker.io)")?;
    Ok(!listed.trim().is_empty())
}

fn debootstrap(root: &Path) -> Result<()> {
    let program = find_program("debootstrap")
        .context("the programs' image needs debootstrap (Debian's package: debootstrap)")?;
    let mut debootstrap = Command::new(program);
    debootstrap
        .args(["--variant=minbase", &format!("--include={}", PACKAGES.join(","))])
        .arg(SUITE)
        .arg(root);
    // Without a mirror, debootstrap takes its own.
    debootstrap.args(mirror());
    let finished = run_with_timeout(&mut debootstrap, BUILD)?;
    if !finished.status.success() {
        // It tells its errors on standard output, between its progress, and more in its log.
        let said = String::from_utf8_lossy(&finished.stdout).into_owned();
        let log = fs::read_to_string(root.join("debootstrap/debootstrap.log")).unwrap_or_default();
        bail!("{debootstrap:?}: {}\n{}\n{}", finished.status, tail(&said, 5), tail(&log, 10));
    }
    Ok(())
}

/// The mirror that this machine's apt is configured to take `SUITE` from.
fn mirror() -> Option<String> {
    let targets = ["indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"];
    let listed = command::output(Command::new("apt-get").args(targets), SHORT).ok()?;
    let of_suite =
        |line: &str| line.split_once(' ').filter(|(suite, _)| *suite == SUITE).map(|(_, uri)| uri.to_owned());
    listed.lines().find_map(of_suite)
}

fn import(root: &Path, name: &str) -> Result<()> {
    let mut tar = Command::new("tar")
        .args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}")))
        .arg("--directory")
        .arg(root)
        .args(["--create", "."])
        .stdout(Stdio::piped())
        .spawn()
        .context("tar can't be started")?;
    let archive = tar.stdout.take().context("tar has no output")?;
    let mut importer = docker().args(["import", "-", name]).stdin(archive).stdout(Stdio::null()).spawn()?;
    let imported = command::wait(&mut importer, BUILD)?;
    let packed = command::wait(&mut tar, SHORT)?;
    if !imported.success() || !packed.success() {
        // Half an image under the name would be taken for the whole from now on.
        command::output(docker().args(["image", "rm", name]), SHORT).ok();
        bail!("the image can't be imported: tar: {packed}, docker import: {imported}");
    }
    Ok(())
}

/// FNV-1a: the same on every machine and with every compiler, unlike the standard library's.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
