//! In a virtual machine there is no compiler: its host's is asked, over a port that `SECCOMP_TRACE_COMPILER` names.
//! The host's side is `xtask/src/vm/compiler.rs`.

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    sync::{Mutex, PoisonError},
};

/// The variable that names the port.
const PORT: &str = "SECCOMP_TRACE_COMPILER";

/// Whether there is such a port.
pub fn is_elsewhere() -> bool {
    std::env::var_os(PORT).is_some()
}

/// Has a C program compiled; returns the executable. A message is its length (32 bits, little-endian) and so many bytes:
/// there JSON with `source` and `options`; back one byte, 1 for an executable and 0 for an error, and that.
pub fn compile(source: &str, options: &[&str]) -> Result<Vec<u8>> {
    // One at a time; and open for good: a child that is being started holds it for a moment, in which it can't be opened again.
    static OPEN: Mutex<Option<File>> = Mutex::new(None);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if open.is_none() {
        let path = std::env::var_os(PORT).with_context(|| format!("{PORT} is not set"))?;
        let port = OpenOptions::new().read(true).write(true).open(&path).context("the compiler's port")?;
        *open = Some(port);
    }
    let port = open.as_mut().context("the compiler's port")?;
    let request = json!({ "source": source, "options": options }).to_string().into_bytes();
    port.write_all(&u32::try_from(request.len())?.to_le_bytes())?;
    port.write_all(&request)?;
    let mut length = [0; 4];
    port.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_le_bytes(length) as usize];
    port.read_exact(&mut answer)?;
    match answer.split_first() {
        Some((1, program)) => Ok(program.to_vec()),
        Some((_, error)) => bail!("cc: {}", String::from_utf8_lossy(error)),
        None => bail!("the compiler says nothing"),
    }
}
