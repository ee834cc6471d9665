//! Leaves the kernel program in `OUT_DIR`: built from `seccomp-trace-ebpf`; or, in a published crate, which comes without
//! that one's sources and needs no toolchain for them, copied from where the crate has it compiled.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};

#[path = "build/strip.rs"]
mod strip;
#[path = "build/toolchain.rs"]
mod toolchain;

use toolchain::{LINKED, Sources, find_sources, has_linker};

const PROGRAM: &str = "seccomp-trace";
const SOURCES: &str = "../seccomp-trace-ebpf";
/// One file for each machine, put here by `cargo xtask package`.
const COMPILED: &str = "kernel-program";

fn main() {
    // One error of cargo's own, without a panic or a backtrace around it.
    if let Err(error) = provide() {
        println!("cargo::error={}", format!("{error:#}").replace('\n', " "));
    }
}

fn provide() -> Result<()> {
    let program = PathBuf::from(env::var_os("OUT_DIR").context("no OUT_DIR")?).join(PROGRAM);
    if Path::new(SOURCES).exists() {
        println!("cargo::rerun-if-env-changed=PATH");
        build()?;
        let stripped = strip::strip(&fs::read(&program)?).context("the kernel program can't be stripped")?;
        return fs::write(&program, stripped).context("the kernel program can't be written");
    }
    let compiled = Path::new(COMPILED).join(env::var("CARGO_CFG_TARGET_ARCH")?);
    println!("cargo::rerun-if-changed={}", compiled.display());
    if !compiled.exists() {
        bail!(
            "this crate has no compiled kernel program for this machine ({}); `cargo xtask package` makes a crate that has",
            compiled.display()
        );
    }
    fs::copy(&compiled, &program).map(drop).context("the kernel program can't be copied")
}

fn build() -> Result<()> {
    if !has_linker() {
        bail!("bpf-linker is not installed; run: cargo xtask setup");
    }
    // Incremental builds are cut into other pieces: the verifier would see another program than the one that was tested.
    set("CARGO_INCREMENTAL", "0");
    let toolchain = match find_sources() {
        // A stable rustc builds `core` only with this.
        Some(Sources::Linked) => {
            set("RUSTC_BOOTSTRAP", "1");
            Toolchain::Custom(LINKED)
        }
        Some(Sources::Nightly) => Toolchain::Nightly,
        None => bail!(
            "no Rust toolchain with its sources, which the kernel program needs; run: cargo xtask setup"
        ),
    };
    // aya-build shows what the nested build prints as warnings: its progress is none.
    set("CARGO_TERM_QUIET", "true");
    // The same bytes in every folder.
    set("CARGO_UNSTABLE_TRIM_PATHS", "true");
    set("CARGO_PROFILE_RELEASE_TRIM_PATHS", "all");
    let package = Package { name: "seccomp-trace-ebpf", root_dir: SOURCES, ..Default::default() };
    aya_build::build_ebpf([package], toolchain).context("the kernel program does not build")
}

/// For the nested build alone, which is cargo's again.
fn set(variable: &str, value: &str) {
    // SAFETY: a build script has one thread.
    unsafe { env::set_var(variable, value) };
}
