//! The folder that is packed: the program with all that belongs to it.

use super::build::Build;
use super::{licences, output};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// From the root of the workspace, under their own names.
const FILES: [&str; 6] =
    ["README.md", "CHANGELOG.md", "LICENSE", "LICENSE-APACHE", "LICENSE-MIT", "packaging/Dockerfile"];
const GPL: (&str, &str) = ("seccomp-trace-ebpf/LICENSE-GPL2", "LICENSE-GPL2");
const DOCUMENTS: &str = "docs";
/// Where the folder has them, and where the packages do.
const PAGES: &str = "man";
/// Each shell, and the file that it looks for.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "completions/seccomp-trace.bash"),
    ("zsh", "completions/_seccomp-trace"),
    ("fish", "completions/seccomp-trace.fish"),
];
/// The licences of everything that is in the program.
const LICENCES: &str = "LICENSES-OF-DEPENDENCIES";
/// As the compiler's own folder has it.
const LICENCES_OF_RUST: &str = "LICENSES-OF-RUST.html";

/// Makes it below `folder`, and returns its path. `speaker` is the program for this machine.
pub fn make(build: &Build, program: &Path, speaker: &Path, folder: &Path) -> Result<PathBuf> {
    let name = format!("seccomp-trace-{}-{}-linux", env!("CARGO_PKG_VERSION"), build.target.name());
    let stage = folder.join(name);
    for below in [PAGES, "completions", DOCUMENTS] {
        fs::create_dir_all(stage.join(below)).with_context(|| format!("cannot make {}", stage.display()))?;
    }
    let copy = |from: &Path, to: &str| {
        fs::copy(from, stage.join(to)).map(drop).with_context(|| format!("cannot copy {}", from.display()))
    };
    copy(program, "seccomp-trace")?;
    for file in FILES {
        copy(&build.root.join(file), file.rsplit('/').next().unwrap_or(file))?;
    }
    copy(&build.root.join(GPL.0), GPL.1)?;
    for entry in fs::read_dir(build.root.join(DOCUMENTS)).context("cannot read docs")? {
        let entry = entry?;
        copy(&entry.path(), &format!("{DOCUMENTS}/{}", entry.file_name().display()))?;
    }
    // The program itself tells them.
    output(Command::new(speaker).args(["man", "--output-dir"]).arg(stage.join(PAGES)))?;
    for (shell, file) in COMPLETIONS {
        let script = output(Command::new(speaker).args(["completions", shell]))?;
        fs::write(stage.join(file), script).with_context(|| format!("cannot write {file}"))?;
    }
    fs::write(stage.join(LICENCES), licences::collect(build)?).context("cannot write the licences")?;
    let of_rust = licences::of_rust(build)?;
    let name = if of_rust.extension().is_some() { LICENCES_OF_RUST } else { "LICENSES-OF-RUST" };
    copy(&of_rust, name)?;
    Ok(stage)
}
