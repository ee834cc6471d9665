//! `cargo xtask dist`: what is given to users, for each machine: one static program, an archive and a Debian package with its
//! manual, completions and licences, and their checksums.
//!
//! The same sources and compiler give the same bytes, in whatever folder: `--check` makes everything a second time,
//! elsewhere, and compares. The crates of others are not compiled again for that: where the workspace is, is nothing to them.

mod archive;
mod build;
mod deb;
mod licences;
mod sources;
mod stage;

use crate::architecture::Architecture;
use crate::{cargo, setup};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use build::{Build, static_program};

/// Where it all goes, below the root of the workspace.
const FOLDER: &str = "target/dist";
const CHECKSUMS: &str = "SHA256SUMS";

/// The arguments of `cargo xtask dist`.
#[derive(clap::Args)]
pub struct Args {
    /// Makes everything again in another folder, and fails where a byte differs.
    #[arg(long)]
    check: bool,
    /// For these machines only; repeatable.
    #[arg(long, value_name = "MACHINE")]
    machine: Vec<Architecture>,
}

/// Makes everything, and prints the paths.
pub fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    deb::ensure_tool()?;
    let targets = if args.machine.is_empty() { &Architecture::ALL[..] } else { &args.machine };
    let time = sources::time(cargo::root())?;
    let made = make(cargo::root(), targets, time)?;
    if args.check {
        let copy =
            tempfile::Builder::new().prefix("seccomp-trace-").tempdir().context("no temporary folder")?;
        eprintln!("dist: and again in {}", copy.path().display());
        sources::copy(cargo::root(), copy.path())?;
        sources::copy_dependencies(cargo::root(), copy.path(), targets)?;
        let again = make(copy.path(), targets, time)?;
        compare(&made, &again)?;
        eprintln!("dist: the same bytes in both folders");
    }
    for path in made {
        writeln!(std::io::stdout(), "{}", path.display()).context("cannot write to stdout")?;
    }
    Ok(())
}

/// Everything from the sources in `root`, and the paths of what came out; `time` is the time of all files.
fn make(root: &Path, targets: &[Architecture], time: u64) -> Result<Vec<PathBuf>> {
    let folder = root.join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Another machine's program can't tell its manual here.
    let speaker = Build { root, target: Architecture::here()?, time }.build()?.program;
    let mut files = Vec::new();
    for target in targets {
        let build = Build { root, target: *target, time };
        let built = build.build()?;
        let stage = stage::make(&build, &built.program, &speaker, &folder)?;
        files.push(archive::make(&build, &stage, &folder)?);
        files.push(deb::make(&build, &stage, &folder)?);
    }
    files.push(checksums(&folder, &files)?);
    Ok(files)
}

/// Writes the checksums of `files`, as `sha256sum --check` reads them.
fn checksums(folder: &Path, files: &[PathBuf]) -> Result<PathBuf> {
    let names = files.iter().filter_map(|file| file.file_name());
    let text = output(Command::new("sha256sum").current_dir(folder).args(names))?;
    let path = folder.join(CHECKSUMS);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// An error that names each file which is not the same in both.
fn compare(first: &[PathBuf], second: &[PathBuf]) -> Result<()> {
    let mut different = Vec::new();
    for (first, second) in first.iter().zip(second) {
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        if read(first)? != read(second)? {
            different.push(first.file_name().unwrap_or_default().display().to_string());
        }
    }
    if first.len() != second.len() || !different.is_empty() {
        bail!("not reproducible: another folder gave other bytes of {}", different.join(", "));
    }
    Ok(())
}

/// Runs `command`, and returns its stdout.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().display().to_string();
    let output = command
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {command:?}", output.status);
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::compare;
    use std::slice::from_ref;

    #[test]
    fn another_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let (a, same, other) = (file("1/a", "x"), file("2/a", "x"), file("3/a", "y"));
        assert!(compare(from_ref(&a), &[same]).is_ok());
        assert!(compare(from_ref(&a), &[]).is_err());
        assert!(compare(&[a], &[other]).unwrap_err().to_string().ends_with("other bytes of a"));
    }
}
