//! The crates, of `cargo xtask package`: whoever has a stable Rust and nothing else builds the program from them, with the
//! kernel program that is inside.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::support::{self, Need, Trial, test};
use super::{cargo, ending, output, xtask};

/// The tests.
pub fn tests() -> Vec<Trial> {
    vec![test("the_crate_installs_without_the_kernels_toolchain", &[], installs)]
}

fn installs() -> Result<()> {
    // What is not committed is packaged, too; and cargo's own build of it would be the second one here.
    let crates = xtask(&["package", "--machine", "x86_64", "--", "--allow-dirty", "--no-verify"])?;
    let folder = support::temp_dir()?;
    let version = env!("CARGO_PKG_VERSION");
    for name in ["seccomp-trace-common", "seccomp-trace"] {
        let packed = ending(&crates, &format!("/{name}-{version}.crate"))?;
        output(Command::new("tar").arg("--extract").arg("--file").arg(packed).arg("-C").arg(folder.path()))?;
    }
    let unpacked = folder.path().join(format!("seccomp-trace-{version}"));
    let files = output(Command::new("find").arg(".").args(["-type", "f"]).current_dir(&unpacked))?;
    for file in ["./kernel-program/x86_64", "./LICENSE-GPL2", "./README.md", "./src/main.rs"] {
        ensure!(files.lines().any(|line| line == file), "{file} is not in the crate: {files}");
    }
    // Neither rustup nor bpf-linker, and only the compiler that builds this test.
    let cargo = cargo();
    let compiler = Path::new(&cargo).parent().context("cargo without a folder")?;
    let path = format!("{}:/usr/bin:/bin", compiler.display());
    for tool in ["rustup", "bpf-linker"] {
        let is_hidden = std::env::split_paths(&path).all(|folder| !folder.join(tool).exists());
        ensure!(is_hidden, "{tool} is in one of {path}");
    }
    let common = format!(
        "patch.crates-io.seccomp-trace-common.path='{}'",
        folder.path().join(format!("seccomp-trace-common-{version}")).display()
    );
    let mut install = Command::new(&cargo);
    install.args(["install", "--debug", "--path"]).arg(&unpacked).arg("--root").arg(folder.path());
    install.args(["--config", &common]).current_dir(folder.path()).env("PATH", &path);
    // What cargo tells this test is not for that crate.
    for variable in
        ["CARGO_MANIFEST_DIR", "CARGO_TARGET_DIR", "RUSTUP_TOOLCHAIN", "RUSTUP_HOME", "RUSTC_BOOTSTRAP"]
    {
        install.env_remove(variable);
    }
    output(&mut install)?;
    let program = folder.path().join("bin/seccomp-trace");
    ensure!(output(Command::new(&program).arg("--version"))?.contains(version));
    if Need::Kernel.check().is_ok() {
        let profile = output(Command::new(&program).args(["run", "-o", "-", "--", "true"]))?;
        ensure!(profile.contains("execve"), "{profile}");
    }
    Ok(())
}
