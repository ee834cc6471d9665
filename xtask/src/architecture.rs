//! The architectures for which there is a program: what Debian, QEMU and the compilers call each.

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Architecture {
    /// All.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// As `uname -m` says.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// This machine's own.
    pub fn here() -> Result<Self> {
        let here = Self::ALL.into_iter().find(|its| its.is_here());
        here.with_context(|| format!("there is no program for {}", std::env::consts::ARCH))
    }

    /// Is it this machine's own?
    pub fn is_here(self) -> bool {
        self.name() == std::env::consts::ARCH
    }

    /// The loader of its programs, below a root folder.
    pub const fn loader(self) -> &'static str {
        match self {
            Self::X86_64 => "lib64/ld-linux-x86-64.so.2",
            Self::Aarch64 => "lib/ld-linux-aarch64.so.1",
        }
    }

    /// As Rust says: with glibc, because Debian has its static library.
    pub const fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// As Debian says.
    pub const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The machine and its processor, for QEMU. A Cortex-A72 runs 32-bit programs, and is emulated faster than `max`.
    pub const fn machine(self) -> [&'static str; 4] {
        match self {
            Self::X86_64 => ["-machine", "pc", "-cpu", "max"],
            Self::Aarch64 => ["-machine", "virt", "-cpu", "cortex-a72"],
        }
    }

    /// The serial console.
    pub const fn console(self) -> &'static str {
        match self {
            Self::X86_64 => "ttyS0",
            Self::Aarch64 => "ttyAMA0",
        }
    }

    /// The C compiler of this architecture, and of its 32-bit programs.
    pub const fn compiler(self, is_32_bit: bool) -> &'static str {
        match (self, is_32_bit) {
            (Self::X86_64, _) => "x86_64-linux-gnu-gcc",
            (Self::Aarch64, false) => "aarch64-linux-gnu-gcc",
            (Self::Aarch64, true) => "arm-linux-gnueabihf-gcc",
        }
    }

    /// The program that takes debugging information away.
    pub const fn strip(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-linux-gnu-strip",
            Self::Aarch64 => "aarch64-linux-gnu-strip",
        }
    }
}
