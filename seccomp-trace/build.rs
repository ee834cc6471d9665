//! Builds the kernel program (`seccomp-trace-ebpf`) and leaves it in `OUT_DIR`.

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};

#[path = "build/toolchain.rs"]
mod toolchain;

use toolchain::{LINKED, Sources, find_sources, has_linker};

fn main() {
    println!("cargo::rerun-if-env-changed=PATH");
    // One error of cargo's own, without a panic or a backtrace around it.
    if let Err(error) = build() {
        println!("cargo::error={}", format!("{error:#}").replace('\n', " "));
    }
}

fn build() -> Result<()> {
    if !has_linker() {
        bail!("bpf-linker is not installed; run: cargo xtask setup");
    }
    // aya-build shows what the nested build prints as warnings: its progress is none.
    // SAFETY: a build script has one thread.
    unsafe { std::env::set_var("CARGO_TERM_QUIET", "true") };
    let toolchain = match find_sources() {
        Some(Sources::Linked) => {
            // A stable rustc builds `core` only with this. Set here, it reaches the nested build alone.
            // SAFETY: a build script has one thread.
            unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
            Toolchain::Custom(LINKED)
        }
        Some(Sources::Nightly) => Toolchain::Nightly,
        None => bail!(
            "no Rust toolchain with its sources, which the kernel program needs; run: cargo xtask setup"
        ),
    };
    let package =
        Package { name: "seccomp-trace-ebpf", root_dir: "../seccomp-trace-ebpf", ..Default::default() };
    aya_build::build_ebpf([package], toolchain).context("the kernel program does not build")
}
