//! The compiler of the tests in a virtual machine, which has none: they ask for each program over a port
//! (`tests/support/compile_elsewhere.rs`), and what was compiled once is kept.

use crate::architecture::Architecture;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// Longer than any request.
const LONGEST: usize = 16 << 20;

/// What is asked for.
#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Request {
    source: String,
    options: Vec<String>,
}

/// Serves whoever connects to a socket at this path, for as long as xtask runs. What it makes is in the folder of the socket.
pub fn serve(socket: &Path, architecture: Architecture) -> Result<()> {
    let _ = fs::remove_file(socket);
    let listener =
        UnixListener::bind(socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
    let folder = socket.with_extension("programs");
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    thread::spawn(move || {
        let mut compiled = HashMap::new();
        // A connection ends with its machine.
        for connection in listener.incoming().flatten() {
            let mut connection = connection;
            while let Ok(request) = read(&mut connection) {
                let answer = answer(request, architecture, &folder, &mut compiled);
                let written = connection
                    .write_all(&u32::try_from(answer.len()).unwrap_or(u32::MAX).to_le_bytes())
                    .and_then(|()| connection.write_all(&answer));
                if written.is_err() {
                    break;
                }
            }
        }
    });
    Ok(())
}

fn read(connection: &mut impl Read) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    ensure!(length <= LONGEST, "a request of {length} bytes");
    let mut request = vec![0; length];
    connection.read_exact(&mut request)?;
    Ok(request)
}

fn answer(
    request: Vec<u8>,
    architecture: Architecture,
    folder: &Path,
    compiled: &mut HashMap<Request, Vec<u8>>,
) -> Vec<u8> {
    let mut compile = || -> Result<Vec<u8>> {
        let request: Request = serde_json::from_slice(&request)?;
        if let Some(program) = compiled.get(&request) {
            return Ok(program.clone());
        }
        let program = fs::read(compile(&request, architecture, folder)?)?;
        compiled.insert(request, program.clone());
        Ok(program)
    };
    match compile() {
        Ok(program) => [vec![1], program].concat(),
        Err(error) => [vec![0], format!("{error:#}").into_bytes()].concat(),
    }
}

fn compile(request: &Request, architecture: Architecture, folder: &Path) -> Result<PathBuf> {
    let (source, program) = (folder.join("program.c"), folder.join("program"));
    fs::write(&source, &request.source)?;
    let is_32_bit = request.options.iter().any(|option| option == "-m32");
    let compiler = architecture.compiler(is_32_bit);
    // A compiler for 32-bit programs alone knows no such option.
    let options =
        request.options.iter().filter(|option| architecture == Architecture::X86_64 || *option != "-m32");
    let mut command = Command::new(compiler);
    super::apt::stdout(command.args(options).arg("-o").args([&program, &source]))?;
    Ok(program)
}
