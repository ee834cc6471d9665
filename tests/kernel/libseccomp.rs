//! The installed libseccomp, by which runtimes make filters: our names are its names, and what it does not know is said.

use crate::{
    common::{LIMIT, expect, stderr},
    support::{self, Need, Trial},
};
use anyhow::{Context as _, Result, bail, ensure};
use seccomp_trace::{
    abi::Abi,
    inspect::libseccomp::{Libseccomp, LibseccompVersion},
};
use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    fs,
};

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Libseccomp];
    vec![
        support::test("libseccomp_has_the_same_names", needs, names),
        support::test("only_what_no_architecture_has_is_unknown_to_libseccomp", needs, unknown),
        support::test("what_is_read_of_libseccomp_is_what_it_answers_itself", needs, answers),
        support::test("a_name_that_libseccomp_does_not_know_is_warned_about", needs, warned),
    ]
}

/// Asks it for every number of every ABI.
fn names() -> Result<()> {
    type ResolveNumber = unsafe extern "C" fn(u32, c_int) -> *mut c_char;
    let known = Libseccomp::find().context("no libseccomp")?;
    // SAFETY: libseccomp has no unsound initialiser.
    let library = unsafe { libloading::Library::new("libseccomp.so.2") }?;
    // SAFETY: the type is that of seccomp.h.
    let resolve = unsafe { library.get::<ResolveNumber>(b"seccomp_syscall_resolve_num_arch\0") }?;
    let mut compared = 0;
    for abi in Abi::ALL {
        let (token, bit) = match abi {
            Abi::X86_64 => (0xc000_003e, 0),
            Abi::I386 => (0x4000_0003, 0),
            Abi::X32 => (0x4000_003e, 1 << 30),
            Abi::Aarch64 => (0xc000_00b7, 0),
            Abi::Arm => (0x4000_0028, 0),
        };
        // And arm's private ones.
        for number in (0..1024_u32).chain(0xf_0000..0xf_0010) {
            // SAFETY: plain numbers.
            let pointer = unsafe { resolve(token, (number | bit) as c_int) };
            let theirs = if pointer.is_null() {
                None
            } else {
                // SAFETY: a C string, ours to free.
                let name = unsafe { CStr::from_ptr(pointer) }.to_str()?.to_owned();
                // SAFETY: allocated by libseccomp with malloc.
                unsafe { libc::free(pointer.cast::<c_void>()) };
                Some(name)
            };
            let ours = abi.name(number);
            match &theirs {
                Some(theirs) if ours != Some(theirs) => bail!("{abi} {number}: {ours:?}, not {theirs}"),
                // Ours may be newer than the library, and only then have a name.
                None if ours.is_some_and(|ours| known.unknown([ours]).is_empty()) => {
                    bail!("{abi} {number}: {ours:?}, which libseccomp has elsewhere")
                }
                _ => compared += u32::from(ours.is_some()),
            }
        }
    }
    ensure!(compared > 1000, "{compared}");
    Ok(())
}

fn unknown() -> Result<()> {
    let library = Libseccomp::find().context("no libseccomp")?;
    ensure!(library.version() >= Some(LibseccompVersion(2, 3, 0)), "{:?}", library.version());
    // socketcall and sigreturn are i386's, breakpoint is arm's: known, by negative numbers here.
    let names = ["read", "socketcall", "sigreturn", "breakpoint", "no_such_call", "", "a\0b"];
    ensure!(library.unknown(names) == ["no_such_call", "", "a\0b"], "{:?}", library.unknown(names));
    Ok(())
}

/// It is read and not loaded: asked for every name of every ABI, it says the same.
fn answers() -> Result<()> {
    type ResolveName = unsafe extern "C" fn(*const c_char) -> c_int;
    let read = Libseccomp::find().context("no libseccomp")?;
    // SAFETY: as in `names`.
    let loaded = unsafe { libloading::Library::new("libseccomp.so.2") }?;
    // SAFETY: the type is that of seccomp.h.
    let resolve = unsafe { loaded.get::<ResolveName>(b"seccomp_syscall_resolve_name\0") }?;
    for (_, name) in Abi::ALL.into_iter().flat_map(Abi::syscalls) {
        let c_name = CString::new(name)?;
        // SAFETY: a C string that outlives the call. -1 is seccomp.h's __NR_SCMP_ERROR; other negative numbers are calls
        // that this architecture lacks and another one has.
        let is_known = unsafe { resolve(c_name.as_ptr()) } != -1;
        ensure!(read.unknown([name]).is_empty() == is_known, "{name}");
    }
    Ok(())
}

/// A recording of a newer program names a call that nobody knows yet.
fn warned() -> Result<()> {
    let folder = support::temp_dir()?;
    let (old, new) = (folder.path().join("old.json"), folder.path().join("new.json"));
    let text = include_str!("../cli/fixtures/recording-v2.json");
    let newer = text.replacen("\"name\": null", "\"name\": \"from_the_future\"", 1);
    ensure!(newer != text);
    fs::write(&old, text)?;
    fs::write(&new, newer)?;
    for (recording, count) in [(&old, 0), (&new, 1)] {
        // Of a set that every host's libseccomp knows.
        let mut generate = support::program();
        generate.args(["generate", "--runtimes", "runc-1.1.5"]).arg(recording);
        let output = support::run_with_timeout(&mut generate, LIMIT)?;
        expect(&output, 0, &[])?;
        let said = stderr(&output).matches("does not know from_the_future: runtimes that use it").count();
        ensure!(said == count, "it is said {said} times: {}", stderr(&output));
    }
    Ok(())
}
