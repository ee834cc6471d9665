//! Archives, Debian packages and checksums, of `cargo xtask dist --check`: that makes everything in two folders, and fails
//! where a byte differs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, ensure};

use super::support::{self, Need, Trial, test};
use super::{ending, output, xtask};

const README: &str = include_str!("../../README.md");

/// The tests.
pub fn tests() -> Vec<Trial> {
    vec![
        test("another_folder_gives_the_same_bytes", &[], same_bytes),
        test("the_archive_has_all_that_belongs_to_the_program", &[], archive),
        test("the_readmes_sizes_are_those", &[], sizes),
        test("lintian_finds_no_error_in_the_debian_package", &[Need::Lintian], lintian),
        test("the_debian_package_installs", &[Need::Root], installs),
    ]
}

/// The paths, made once for all tests.
fn made() -> Result<&'static [String]> {
    static MADE: OnceLock<Result<Vec<String>, String>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        xtask(&["dist", "--check", "--machine", "x86_64"]).map_err(|error| format!("{error:#}"))
    });
    made.as_deref().map_err(|error| anyhow!("{error}"))
}

fn same_bytes() -> Result<()> {
    let sums = ending(made()?, "SHA256SUMS")?;
    let folder = sums.parent().context("no folder")?;
    let checked =
        output(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(folder))?;
    // All but the list itself.
    ensure!(checked.lines().filter(|line| line.ends_with(": OK")).count() == made()?.len() - 1, "{checked}");
    Ok(())
}

fn archive() -> Result<()> {
    let archive = ending(made()?, "-x86_64-linux.tar.gz")?;
    let folder = support::temp_dir()?;
    output(Command::new("tar").arg("--extract").arg("--file").arg(archive).arg("-C").arg(folder.path()))?;
    let name = format!("seccomp-trace-{}-x86_64-linux", env!("CARGO_PKG_VERSION"));
    let folder = folder.path().join(name);
    for file in [
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "LICENSE-GPL2",
        "LICENSES-OF-RUST.html",
        "Dockerfile",
        "docs/recording-format.md",
        "man/seccomp-trace.1",
        "man/seccomp-trace-record.1",
        "completions/seccomp-trace.bash",
        "completions/_seccomp-trace",
        "completions/seccomp-trace.fish",
    ] {
        ensure!(fs::metadata(folder.join(file)).is_ok_and(|data| data.len() > 0), "{file} is missing");
    }
    let licences = fs::read_to_string(folder.join("LICENSES-OF-DEPENDENCIES"))?;
    for dependency in ["aya ", "aya-ebpf ", "clap ", "tokio ", "bollard-stubs ", "the GNU C Library"] {
        let is_there = licences.lines().any(|line| line.starts_with(dependency));
        ensure!(is_there, "no licence of {dependency}");
    }
    is_our_program(&folder.join("seccomp-trace"))
}

/// In millions of bytes, as far as a tenth.
fn sizes() -> Result<()> {
    for end in [".tar.gz", "_amd64.deb"] {
        let path = ending(made()?, end)?;
        let name = path.file_name().and_then(|name| name.to_str()).context("no name")?;
        let row = README
            .lines()
            .find(|line| line.contains(name))
            .with_context(|| format!("README.md lacks {name}"))?;
        let told =
            row.split('|').nth(2).and_then(|cell| cell.trim().strip_suffix(" MB")?.parse::<f64>().ok());
        let told = told.with_context(|| format!("README.md says no size: {row}"))?;
        let size = fs::metadata(path)?.len() as f64 / 1e6;
        ensure!((size - told).abs() < told / 10.0, "{name} has {size:.1} MB, and README.md says {told}");
    }
    Ok(())
}

fn is_our_program(program: &Path) -> Result<()> {
    ensure!(support::is_static(program), "{} is not static", program.display());
    let version = output(Command::new(program).arg("--version"))?;
    ensure!(version.trim() == format!("seccomp-trace {}", env!("CARGO_PKG_VERSION")), "{version}");
    let bytes = fs::read(program)?;
    for path in [env!("CARGO_MANIFEST_DIR"), "/registry/src/"] {
        ensure!(
            !bytes.windows(path.len()).any(|window| window == path.as_bytes()),
            "{path} is in the program"
        );
    }
    Ok(())
}

fn lintian() -> Result<()> {
    let package = ending(made()?, "_amd64.deb")?;
    // As root it refuses, unless it is told.
    output(Command::new("lintian").args(["--allow-root", "--fail-on", "error"]).arg(package)).map(drop)
}

/// With dpkg, into a root folder of its own.
fn installs() -> Result<()> {
    let root = support::temp_dir()?;
    let admin = root.path().join("var/lib/dpkg");
    for folder in ["info", "updates", "triggers"] {
        fs::create_dir_all(admin.join(folder))?;
    }
    fs::write(admin.join("status"), "")?;
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(format!("--root={}", root.path().display()))
        .arg("--install")
        .arg(ending(made()?, "_amd64.deb")?);
    output(&mut dpkg)?;
    is_our_program(&root.path().join("usr/bin/seccomp-trace"))?;
    for file in [
        "usr/share/man/man1/seccomp-trace-record.1.gz",
        "usr/share/bash-completion/completions/seccomp-trace",
        "usr/share/doc/seccomp-trace/copyright",
        "usr/share/doc/seccomp-trace/LICENSES-OF-DEPENDENCIES.gz",
    ] {
        let path = root.path().join(file);
        let plain = path.with_extension("");
        ensure!(path.exists() || plain.exists(), "{file} is missing");
    }
    Ok(())
}
