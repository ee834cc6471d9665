//! `cargo xtask package`: the crates as they are published, with the kernel program compiled inside, so that they build with
//! a stable Rust alone.

use crate::architecture::Architecture;
use crate::dist::Build;
use crate::{cargo, setup};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Where seccomp-trace/build.rs looks for it.
const COMPILED: &str = "seccomp-trace/kernel-program";
/// In the order in which they depend on each other.
const CRATES: [&str; 2] = ["seccomp-trace-common", "seccomp-trace"];

/// The arguments of `cargo xtask package`.
#[derive(clap::Args)]
pub struct Args {
    /// Publishes them: runs `cargo publish`, and not `cargo package`.
    #[arg(long)]
    publish: bool,
    /// With the kernel programs of these machines only; repeatable.
    #[arg(long, value_name = "MACHINE")]
    machine: Vec<Architecture>,
    /// Arguments of that command, such as --allow-dirty.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Makes the crates, and prints their paths.
pub fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    let targets = if args.machine.is_empty() { &Architecture::ALL[..] } else { &args.machine };
    let compiled = Compiled::make(&cargo::root().join(COMPILED), targets)?;
    let mut command = cargo::cargo();
    command.arg(if args.publish { "publish" } else { "package" });
    for name in CRATES {
        command.args(["--package", name]);
    }
    let status = command.args(&args.arguments).status().context("cannot start cargo")?;
    drop(compiled);
    if !status.success() {
        bail!("`cargo {}` failed ({status})", if args.publish { "publish" } else { "package" });
    }
    for name in CRATES {
        let file = format!("target/package/{name}-{}.crate", env!("CARGO_PKG_VERSION"));
        let path = cargo::root().join(file);
        writeln!(std::io::stdout(), "{}", path.display()).context("cannot write to stdout")?;
    }
    Ok(())
}

/// The folder of compiled kernel programs: there only while crates are made, so that none is packaged that is older
/// than its sources.
struct Compiled(PathBuf);

impl Compiled {
    fn make(folder: &Path, targets: &[Architecture]) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let compiled = Self(folder.to_owned());
        for target in targets {
            let build = Build { root: cargo::root(), target: *target, time: 0 };
            let from = build.build()?.kernel_program;
            fs::copy(&from, folder.join(target.name()))
                .with_context(|| format!("cannot copy {}", from.display()))?;
        }
        Ok(compiled)
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // Left behind it is overwritten the next time.
        let _ = fs::remove_dir_all(&self.0);
    }
}
