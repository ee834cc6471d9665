//! ABIs, numbers and names: one syscall numbering each, and what seccomp calls it. Names are
//! libseccomp's, which are the kernel's: a test compares every one with the installed library.

mod arm;
mod i386;
mod newer;
mod x32;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syscalls::{aarch64, arm as arm_table, x86, x86_64};

/// One syscall numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 32-bit x86, also by `int $0x80` from a 64-bit program.
    I386,
    /// 32-bit pointers in 64-bit mode: the x86_64 table with bit 30 set, and its own 512–547.
    X32,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM, the EABI.
    Arm,
}

const X86: [Abi; 3] = [Abi::X86_64, Abi::I386, Abi::X32];
const ARM: [Abi; 2] = [Abi::Aarch64, Abi::Arm];

impl Abi {
    /// Every ABI that this program knows.
    pub const ALL: [Abi; 5] = [Abi::X86_64, Abi::I386, Abi::X32, Abi::Aarch64, Abi::Arm];

    /// The ABIs of the machine that this program is built for, its native one first: each by its index in the kernel program.
    #[cfg(not(target_arch = "aarch64"))]
    pub const HOST: &'static [Abi] = &X86;
    /// The ABIs of the machine that this program is built for, its native one first: each by its index in the kernel program.
    #[cfg(target_arch = "aarch64")]
    pub const HOST: &'static [Abi] = &ARM;

    /// The ABI of an index that the kernel program uses.
    pub fn from_index(index: usize) -> Option<Abi> {
        Self::HOST.get(index).copied()
    }

    /// Is it a machine's own, and not one of older programs?
    pub const fn is_native(self) -> bool {
        matches!(self, Abi::X86_64 | Abi::Aarch64)
    }

    /// The ABIs of a machine (`uname -m`), its native one first; `None` for a machine we don't know.
    pub fn of_machine(machine: &str) -> Option<&'static [Abi]> {
        match machine {
            // A 64-bit kernel says i686 to a process under `setarch i686`, and armv8l under `setarch armv8l`.
            "x86_64" | "i386" | "i486" | "i586" | "i686" => Some(&X86),
            "aarch64" | "armv8l" => Some(&ARM),
            _ => None,
        }
    }

    /// The name of a number (for x32: without bit 30), or `None` where the ABI has no such syscall.
    pub fn name(self, number: u32) -> Option<&'static str> {
        let table = match self {
            Abi::X86_64 => x86_64::Sysno::new(number as usize).map(|syscall| syscall.name()),
            // The crate calls i386's 17 by its Rust name, `r#break`.
            Abi::I386 => {
                let name = x86::Sysno::new(number as usize).map(|syscall| syscall.name());
                name.map(|name| name.strip_prefix("r#").unwrap_or(name))
            }
            Abi::X32 if x32::OWN_NUMBERS.contains(&number) => x32::own_name(number),
            Abi::X32 if x32::lacks(number) => None,
            Abi::X32 => x86_64::Sysno::new(number as usize).map(|syscall| syscall.name()),
            Abi::Aarch64 if arm::aarch64_lacks(number) => None,
            Abi::Aarch64 if number == arm::NEWFSTATAT.0 => Some(arm::NEWFSTATAT.1),
            Abi::Aarch64 => aarch64::Sysno::new(number as usize).map(|syscall| syscall.name()),
            Abi::Arm => arm::own_name(number)
                .or_else(|| arm_table::Sysno::new(number as usize).map(|syscall| syscall.name())),
        };
        table.or_else(|| newer::name(number))
    }

    /// The number of a name (for x32: without bit 30), or `None` where the ABI has no such syscall.
    pub fn number(self, name: &str) -> Option<u32> {
        let table = match self {
            Abi::X86_64 => x86_64::Sysno::from_str(name).ok().map(|syscall| syscall as u32),
            Abi::I386 if name == "break" => Some(x86::Sysno::r#break as u32),
            Abi::I386 => x86::Sysno::from_str(name).ok().map(|syscall| syscall as u32),
            Abi::X32 => x32::own_number(name).or_else(|| {
                let number = x86_64::Sysno::from_str(name).ok()? as u32;
                (!x32::lacks(number)).then_some(number)
            }),
            Abi::Aarch64 if name == arm::NEWFSTATAT.1 => Some(arm::NEWFSTATAT.0),
            Abi::Aarch64 => {
                let number = aarch64::Sysno::from_str(name).ok().map(|syscall| syscall as u32);
                number.filter(|number| !arm::aarch64_lacks(*number) && *number != arm::NEWFSTATAT.0)
            }
            Abi::Arm => arm::own_number(name)
                .or_else(|| arm_table::Sysno::from_str(name).ok().map(|syscall| syscall as u32)),
        };
        table.or_else(|| newer::number(name))
    }

    /// The call of this ABI through which libseccomp lets a syscall pass as well: a rule for `connect` lets i386's
    /// `socketcall` pass where its first argument says connect (`abi_rule_add` in libseccomp's `src/arch.c`; measured
    /// with 2.5.4).
    pub fn multiplexer(self, name: &str) -> Option<&'static str> {
        if self == Abi::I386 { i386::multiplexer(name) } else { None }
    }

    /// Every number of the ABI that has a name, in their order, with the name.
    pub fn syscalls(self) -> impl Iterator<Item = (u32, &'static str)> {
        // Beyond the newest number (471) and x32's own (512–547), with room; and arm's private ones.
        (0..1024).chain(arm::PRIVATE).filter_map(move |number| self.name(number).map(|name| (number, name)))
    }

    /// What seccomp profiles call it, such as `SCMP_ARCH_X86_64`.
    pub const fn seccomp_arch(self) -> &'static str {
        match self {
            Abi::X86_64 => "SCMP_ARCH_X86_64",
            Abi::I386 => "SCMP_ARCH_X86",
            Abi::X32 => "SCMP_ARCH_X32",
            Abi::Aarch64 => "SCMP_ARCH_AARCH64",
            Abi::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// What we call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Abi::X86_64 => "x86_64",
            Abi::I386 => "i386",
            Abi::X32 => "x32",
            Abi::Aarch64 => "aarch64",
            Abi::Arm => "arm",
        }
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// No ABI is called so.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no ABI {0:?}; known are x86_64, i386, x32, aarch64 and arm")]
pub struct UnknownAbi(String);

impl FromStr for Abi {
    type Err = UnknownAbi;

    /// Takes our name or the profiles' (`SCMP_ARCH_…`).
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|abi| abi.as_str() == name || abi.seccomp_arch() == name)
            .ok_or_else(|| UnknownAbi(name.to_owned()))
    }
}

#[cfg(test)]
mod tests;
