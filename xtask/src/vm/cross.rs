//! Building for another architecture, with Debian's rustc (the linked toolchain) and its standard library for that one.

use super::apt::{Apt, stdout};
use super::image;
use crate::architecture::Architecture;
use crate::cargo;
use crate::toolchain::LINKED;
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package with the standard library; in the version of the compiler, whose package is the other one.
const LIBRARY: &str = "libstd-rust-web-dev";
const COMPILER: &str = "rustc-web";

/// cargo for an architecture, with the options that select it; `more` are further flags of rustc.
pub fn cargo_for(folder: &Path, apt: &Apt, architecture: Architecture, more: &[OsString]) -> Result<Command> {
    let sysroot = sysroot(folder, apt, architecture)?;
    let target = architecture.triple();
    let variable = |name: &str| format!("CARGO_TARGET_{}_{name}", target.replace('-', "_").to_uppercase());
    let mut flags = OsString::from("--sysroot=");
    flags.push(&sysroot);
    for flag in more {
        flags.push(" ");
        flags.push(flag);
    }
    let mut command = Command::new("rustup");
    command.args(["run", LINKED, "cargo"]).current_dir(cargo::root());
    command.env(variable("LINKER"), architecture.compiler(false)).env(variable("RUSTFLAGS"), flags);
    // What the cargo that started us has set is about itself.
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// Makes a folder that is Debian's own for the compiler, with the other library beside the machine's.
fn sysroot(folder: &Path, apt: &Apt, architecture: Architecture) -> Result<PathBuf> {
    let mut query = Command::new("dpkg-query");
    let version = stdout(query.args(["--show", "--showformat=${Version}", COMPILER])).with_context(|| {
        format!("{COMPILER} is not installed, and the standard library for another architecture must be of its version")
    })?;
    let target = architecture.triple();
    let sysroot = folder.join(format!("rust-{}-{}", architecture.name(), version.replace(['/', ':'], "_")));
    if sysroot.exists() {
        return Ok(sysroot);
    }
    let fetched = tempfile::tempdir_in(folder)?;
    let package = apt.fetch_one_here(&format!("{LIBRARY}={version}"), architecture, fetched.path())?;
    let half = sysroot.with_extension("half");
    let _ = fs::remove_dir_all(&half);
    image::unpack(&package, &half.join("package"), &[], &[])?;
    let libraries = half.join("lib/rustlib");
    fs::create_dir_all(&libraries)?;
    let installed = Path::new("/usr/lib/rustlib");
    for entry in fs::read_dir(installed).with_context(|| format!("{} is not there", installed.display()))? {
        let entry = entry?;
        symlink(entry.path(), libraries.join(entry.file_name()))?;
    }
    symlink(format!("../../package/usr/lib/rustlib/{target}"), libraries.join(target))?;
    fs::rename(&half, &sysroot)?;
    Ok(sysroot)
}
