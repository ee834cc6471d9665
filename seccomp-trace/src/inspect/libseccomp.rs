//! The installed libseccomp, and which names it knows. Runtimes drop a profile's name that their libseccomp does
//! not know without a word, and the call is then denied: so such names are to be said beforehand.
//!
//! It is read, not loaded: a static program can't load a library that needs another C library than its own. The names are
//! in it as they are written, each closed by a zero.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

const FILE: &str = "libseccomp.so.2";
/// Where the dynamic loader keeps what it found, and where it looks without that.
const LOADER_CACHE: &str = "/etc/ld.so.cache";
const FOLDERS: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// The libseccomp of this host.
pub struct Libseccomp {
    path: PathBuf,
    data: Vec<u8>,
}

/// A version of libseccomp, such as 2.5.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LibseccompVersion(pub u32, pub u32, pub u32);

impl fmt::Display for LibseccompVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Libseccomp {
    /// Finds it as the dynamic loader does, and reads it; `None` where it is not installed for our own machine.
    pub fn find() -> Option<Self> {
        let own = own_machine()?;
        let cache = fs::read(LOADER_CACHE).unwrap_or_default();
        let cached = cache.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
        let cached = cached.map(Path::new).filter(|path| path.is_absolute() && path.ends_with(FILE));
        let usual = FOLDERS.map(|folder| Path::new(folder).join(FILE));
        cached.map(Path::to_path_buf).chain(usual).find_map(|path| {
            let data = fs::read(&path).ok()?;
            (machine(&data)? == own).then_some(Self { path, data })
        })
    }

    /// Its version, by the name of its file: the loader's name is a link to that.
    pub fn version(&self) -> Option<LibseccompVersion> {
        let file = self.path.canonicalize().ok()?;
        let mut numbers = file.file_name()?.to_str()?.strip_prefix("libseccomp.so.")?.split('.');
        let mut next = || numbers.next()?.parse().ok();
        Some(LibseccompVersion(next()?, next()?, next()?))
    }

    /// Those of `names` that it does not know, on whatever architecture.
    pub fn unknown<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let strings: HashSet<_> =
            self.data.split(|byte| *byte == 0).filter(|text| !text.is_empty()).collect();
        // A linker may have made one name the end of another: all are gone through only for those.
        let is_known =
            |name: &[u8]| strings.contains(name) || strings.iter().any(|text| text.ends_with(name));
        names.into_iter().filter(|name| name.is_empty() || !is_known(name.as_bytes())).collect()
    }
}

/// Ours, of which the rest is not read: it is the largest file here.
fn own_machine() -> Option<[u8; 4]> {
    let mut header = [0; 20];
    File::open("/proc/self/exe").ok()?.read_exact(&mut header).ok()?;
    machine(&header)
}

/// Word size, byte order and processor of an ELF file (elf.h: `EI_CLASS`, `EI_DATA`, `e_machine`).
fn machine(elf: &[u8]) -> Option<[u8; 4]> {
    match elf {
        [0x7f, b'E', b'L', b'F', class, order, ..] => Some([*class, *order, *elf.get(18)?, *elf.get(19)?]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::machine;

    #[test]
    fn what_is_no_library_of_this_machine_is_not_taken() {
        assert_eq!(machine(b""), None);
        assert_eq!(machine(b"#!/bin/sh and a text that is long enough"), None);
        assert_eq!(machine(b"\x7fELF\x02\x01"), None);
        assert_eq!(machine(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x03\0"), Some([1, 1, 3, 0]));
    }
}
