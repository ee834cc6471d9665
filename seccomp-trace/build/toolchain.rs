//! What the kernel program is built with, and whether it is here.
//!
//! One file for the build script, which needs it, and for `cargo xtask setup`, which installs it: what one of
//! them calls complete must be enough for the other.

use std::path::Path;
use std::process::{Command, Stdio};

/// The rustup name under which `cargo xtask setup` links a distribution's rustc with its sources.
pub const LINKED: &str = "bpf";

/// A toolchain that has the sources of `core`, which the kernel program's target doesn't come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// A stable rustc, linked under the name [`LINKED`].
    Linked,
    /// rustup's nightly with the component rust-src.
    Nightly,
}

/// The toolchain to build the kernel program with, if there is one.
pub fn find_sources() -> Option<Sources> {
    if has_sources(LINKED) {
        Some(Sources::Linked)
    } else if has_sources("nightly") {
        Some(Sources::Nightly)
    } else {
        None
    }
}

/// Whether bpf-linker is on the PATH and runs: it doesn't where the LLVM that it was linked with is gone.
pub fn has_linker() -> bool {
    Command::new("bpf-linker")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn has_sources(toolchain: &str) -> bool {
    Command::new("rustup").args(["run", toolchain, "rustc", "--print", "sysroot"]).output().is_ok_and(
        |output| {
            let sysroot = String::from_utf8_lossy(&output.stdout);
            output.status.success()
                && Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").exists()
        },
    )
}
