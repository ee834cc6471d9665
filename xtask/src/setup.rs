//! `cargo xtask setup`: brings a machine with rustup to where everything builds.
//!
//! On Debian 12 from Debian's own packages: its rustc comes with its sources and has the LLVM of a packaged
//! llvm-dev, and becomes the rustup toolchain `bpf`. Elsewhere with a nightly, as aya's documentation has it.

use crate::host::is_debian_12;
use crate::packages;
use crate::plan::{Plan, Step};
use crate::programs::find_program;
use crate::toolchain::{LINKED, Sources, find_sources, has_linker};
use anyhow::{Result, anyhow, bail};

const RUSTC: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// The LLVM of that rustc, and what its libraries are linked with.
const LLVM: [&str; 5] = ["llvm-22-dev", "libpolly-22-dev", "zlib1g-dev", "libzstd-dev", "libxml2-dev"];
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
/// The default feature is another LLVM.
const LINKER: &str = "bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22";

/// What to do where Debian's packages can't be had.
const NIGHTLY: &str = "or, where rustup's servers can be reached, type instead:
    rustup toolchain install nightly --component rust-src
    cargo install bpf-linker";

/// What decides the plan.
struct Machine {
    debian_12: bool,
    compiler: bool,
    sources: Option<Sources>,
    linker: bool,
}

impl Machine {
    fn look() -> Self {
        Self {
            debian_12: is_debian_12(),
            compiler: find_program("cc").is_some(),
            sources: find_sources(),
            linker: has_linker(),
        }
    }

    fn is_complete(&self) -> bool {
        self.compiler && self.sources.is_some() && self.linker
    }

    fn plan(&self, missing: impl Fn(&[&'static str]) -> Vec<&'static str>) -> Plan {
        let mut plan = Plan::default();
        // The sources that the build will take once this is done decide which linker it needs.
        let linked = self.debian_12 && self.sources != Some(Sources::Nightly);
        let mut packages: Vec<&'static str> = Vec::new();
        if !self.compiler {
            packages.extend(["gcc", "libc6-dev"]);
        }
        if linked && self.sources.is_none() {
            packages.extend(RUSTC);
        }
        if linked && !self.linker {
            packages.extend(LLVM);
        }
        plan.apt(&missing(&packages));
        match self.sources {
            None if linked => {
                plan.installs.push(format!("Debian's rustc as the rustup toolchain `{LINKED}`"));
                plan.steps.push(Step::user(&format!("rustup toolchain link {LINKED} /usr")));
            }
            None => {
                plan.installs.push("the rustup toolchain `nightly` with rust-src".into());
                plan.steps.push(Step::user("rustup toolchain install nightly --component rust-src"));
            }
            Some(_) => {}
        }
        if !self.linker && linked {
            plan.installs.push("bpf-linker 0.13.0, built by cargo with Debian's LLVM 22".into());
            plan.steps.push(Step::user(&format!("LLVM_PREFIX={LLVM_PREFIX} cargo install {LINKER}")));
        } else if !self.linker {
            plan.installs.push("bpf-linker, built by cargo".into());
            plan.steps.push(Step::user("cargo install bpf-linker"));
        }
        plan
    }
}

/// Installs what is missing; says so when nothing is.
pub fn run() -> Result<()> {
    if Machine::look().is_complete() {
        eprintln!("setup: nothing to install, all that the build needs is here");
        return Ok(());
    }
    ensure()
}

/// Installs what is missing, and is silent when nothing is.
pub fn ensure() -> Result<()> {
    let machine = Machine::look();
    if machine.is_complete() {
        return Ok(());
    }
    if find_program("rustup").is_none() {
        bail!("rustup is not on the PATH; install rustup, then type: cargo xtask setup");
    }
    if !machine.compiler && !machine.debian_12 {
        bail!("there is no C compiler `cc`; install gcc or clang with this system's package manager");
    }
    let done = machine.plan(packages::missing).carry_out();
    done.map_err(|error| if machine.debian_12 { anyhow!("{error:#}\n{NIGHTLY}") } else { error })?;
    let now = Machine::look();
    if !now.linker {
        bail!("bpf-linker is installed and does not run: is cargo's folder of programs on the PATH?");
    }
    if now.sources.is_none() {
        bail!("no toolchain has the sources of `core`; look at: rustup run {LINKED} rustc --print sysroot");
    }
    eprintln!("setup: done");
    Ok(())
}

#[cfg(test)]
mod tests;
