//! QEMU, unpacked beside the machines' other packages and not installed: what is installed here may be of another release
//! than this machine's archives have, and keep theirs out.

use super::apt::Apt;
use super::image;
use crate::architecture::Architecture;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One package for each architecture.
const PACKAGES: [&str; 2] = ["qemu-system-x86", "qemu-system-arm"];
/// Where its firmware is, in its packages.
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// See the module.
pub struct Qemu {
    root: PathBuf,
    here: Architecture,
}

impl Qemu {
    /// Fetches and unpacks it, where that isn't done.
    pub fn new(folder: &Path, apt: &Apt) -> Result<Self> {
        let here = Architecture::here()?;
        let root = folder.join("qemu");
        if !root.exists() {
            eprintln!("vm: fetching QEMU");
            let half = root.with_extension("half");
            image::tree(&half, apt, &PACKAGES, here)?;
            fs::rename(&half, &root)?;
        }
        Ok(Self { root, here })
    }

    /// The emulator of an architecture, with the loader and the libraries that came with it.
    pub fn emulator(&self, architecture: Architecture) -> Command {
        let mut qemu = Command::new(self.root.join(self.here.loader()));
        let libraries = self.root.join("usr/lib").join(format!("{}-linux-gnu", self.here.name()));
        // Its modules: the emulation itself is one.
        qemu.env("QEMU_MODULE_DIR", libraries.join("qemu"));
        qemu.arg("--library-path").arg(libraries);
        qemu.arg(self.root.join("usr/bin").join(format!("qemu-system-{}", architecture.name())));
        for folder in FIRMWARE {
            qemu.arg("-L").arg(self.root.join(folder));
        }
        qemu
    }
}
