//! Builds the kernel program (`seccomp-trace-ebpf`) and leaves it in `OUT_DIR`.

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};
use std::process::{Command, Stdio};

/// The rustup name under which `cargo xtask setup` links a distribution's rustc with its sources.
const LINKED: &str = "bpf";

fn main() -> Result<()> {
    println!("cargo::rerun-if-env-changed=PATH");
    if !runs(Command::new("bpf-linker").arg("--version")) {
        bail!("bpf-linker is not installed; run: cargo xtask setup");
    }
    let toolchain = if has_sources(LINKED) {
        // A stable rustc builds `core` only with this. Set here, it reaches the nested build alone.
        // SAFETY: a build script has one thread.
        unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
        Toolchain::Custom(LINKED)
    } else if has_sources("nightly") {
        Toolchain::Nightly
    } else {
        bail!("no Rust toolchain with its sources, which the kernel program needs; run: cargo xtask setup");
    };
    let package =
        Package { name: "seccomp-trace-ebpf", root_dir: "../seccomp-trace-ebpf", ..Default::default() };
    aya_build::build_ebpf([package], toolchain).context("the kernel program does not build")
}

fn runs(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn has_sources(toolchain: &str) -> bool {
    Command::new("rustup").args(["run", toolchain, "rustc", "--print", "sysroot"]).output().is_ok_and(
        |output| {
            let sysroot = String::from_utf8_lossy(&output.stdout);
            output.status.success()
                && std::path::Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").exists()
        },
    )
}
