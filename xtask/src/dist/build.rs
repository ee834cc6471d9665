//! The static program of one machine.

use crate::architecture::Architecture;
use crate::cargo;
use crate::programs::is_static;
use crate::vm;
use anyhow::{Context as _, Result, bail};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The package, the program and its kernel program.
const PROGRAM: &str = "seccomp-trace";

/// What is built from what.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// The root of the workspace: these sources, or their copy.
    pub root: &'a Path,
    /// For this machine.
    pub target: Architecture,
    /// The time of all files, in seconds since 1970.
    pub time: u64,
}

/// What came out.
#[derive(Debug)]
pub struct Built {
    /// The static program.
    pub program: PathBuf,
    /// The kernel program that is in it.
    pub kernel_program: PathBuf,
}

/// The static program for the machine that we are on.
pub fn static_program() -> Result<PathBuf> {
    Ok(Build { root: cargo::root(), target: Architecture::here()?, time: 0 }.build()?.program)
}

impl Build<'_> {
    /// Builds it.
    pub fn build(&self) -> Result<Built> {
        let flags = flags()?;
        let mut command = match self.target {
            target if target.is_here() => {
                let mut command = cargo::cargo();
                command.env("CARGO_ENCODED_RUSTFLAGS", flags.join(OsStr::new("\x1f")));
                command
            }
            target => vm::cross_cargo(target, &flags)?,
        };
        command.current_dir(self.root).env_remove("CARGO_TARGET_DIR");
        let arguments = [
            "build",
            "--locked",
            "--release",
            "--package",
            "seccomp-trace",
            "--target",
            self.target.triple(),
        ];
        let messages = cargo::messages(command, &arguments)?;
        let program = cargo::find_executable(&messages, PROGRAM).context("cargo built no program")?;
        if !is_static(&program) {
            bail!("{} is not static: does this system have glibc's static library?", program.display());
        }
        let folder = cargo::find_build_folder(&messages, PROGRAM).context("cargo ran no build script")?;
        Ok(Built { program, kernel_program: folder.join(PROGRAM) })
    }
}

/// Static, and without the paths of this machine. Those of the workspace are relative anyway.
fn flags() -> Result<Vec<OsString>> {
    let mut flags = vec![OsString::from("-Ctarget-feature=+crt-static")];
    // One folder a registry; its name is made of the registry's address.
    let sources = cargo_home()?.join("registry/src");
    for entry in std::fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))? {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(entry?.path());
        flag.push("=crates");
        flags.push(flag);
    }
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("neither CARGO_HOME nor HOME is set")
}
