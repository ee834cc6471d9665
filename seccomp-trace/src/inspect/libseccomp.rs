//! The installed libseccomp, asked itself. Runtimes drop a profile's name that their libseccomp does
//! not know without a word, and the call is then denied: so such names are to be said beforehand.

use std::ffi::{CString, c_char, c_int, c_uint};
use std::fmt;

use libloading::Library;

/// `__NR_SCMP_ERROR` of seccomp.h: the name is unknown. Other negative numbers are calls that the
/// native architecture lacks and another one has.
const UNKNOWN: c_int = -1;

type Version = unsafe extern "C" fn() -> *const ScmpVersion;
type ResolveName = unsafe extern "C" fn(*const c_char) -> c_int;

/// `struct scmp_version` of seccomp.h.
#[repr(C)]
struct ScmpVersion {
    major: c_uint,
    minor: c_uint,
    micro: c_uint,
}

/// The libseccomp of this host.
pub struct Libseccomp {
    library: Library,
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
    /// Loads it; `None` where it is not installed.
    pub fn load() -> Option<Self> {
        // SAFETY: libseccomp's initialisers and finalisers do nothing unsound.
        let library = unsafe { Library::new("libseccomp.so.2") }.ok()?;
        Some(Self { library })
    }

    /// Its version (2.3 and later tell).
    pub fn version(&self) -> Option<LibseccompVersion> {
        // SAFETY: the type is that of seccomp.h; the answer points to a static.
        let version = unsafe { self.library.get::<Version>(b"seccomp_version\0").ok()?().as_ref() }?;
        Some(LibseccompVersion(version.major, version.minor, version.micro))
    }

    /// True where it knows the syscall's name, on whatever architecture. `None` where it can't be asked.
    pub fn knows(&self, name: &str) -> Option<bool> {
        let name = CString::new(name).ok()?;
        // SAFETY: the type is that of seccomp.h.
        let resolve = unsafe { self.library.get::<ResolveName>(b"seccomp_syscall_resolve_name\0") }.ok()?;
        // SAFETY: a C string that outlives the call.
        Some(unsafe { resolve(name.as_ptr()) } != UNKNOWN)
    }

    /// Those of `names` that it does not know.
    pub fn unknown<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        names.into_iter().filter(|name| self.knows(name) == Some(false)).collect()
    }
}
