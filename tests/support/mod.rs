//! What the tests of `tests/kernel` and `tests/engines` have in common: a harness that skips honestly, and help
//! with programs.
//!
//! A test says what it needs of the machine. A need that isn't met is looked up once, and skips the test with
//! its reason: shown, counted, and reported to `cargo xtask test` through the file that `SECCOMP_TRACE_REPORT`
//! names. Where `SECCOMP_TRACE_REQUIRE` (`kernel,docker,…`) names the need, the test fails instead.
//!
//! A test of the full tier (`only_in_full`) is ignored, as Rust's own harness has it, where `SECCOMP_TRACE_TIER` is not `full`;
//! what depends on the moment is repeated fewer times there (`turns`).
//!
//! ```ignore
//! // tests/kernel/fork.rs
//! pub fn tests() -> Vec<Trial> {
//!     vec![support::test("a_grandchild_is_traced", &[Need::Kernel, Need::Strace], || {
//!         let output = support::run_with_timeout(
//!             support::program().args(["run", "-o", "-", "--", "true"]),
//!             Duration::from_secs(10),
//!         )?;
//!         assert!(output.status.success(), "{output:?}");
//!         Ok(())
//!     })]
//! }
//!
//! // tests/kernel/main.rs
//! fn main() -> ExitCode {
//!     support::main([fork::tests()])
//! }
//! ```
#![allow(dead_code, unused_imports, reason = "each test program uses a part of this")]

pub mod compile;
mod compile_elsewhere;
pub mod denials;
pub mod flood;
mod need;
mod process;
mod programs;
pub mod safe_syscalls;
mod terminal;
mod tier;
mod trial;

pub use need::{Need, docker, static_program};
pub use process::{Running, program, run_with_timeout, signal, temp_dir};
pub use programs::{find_program, is_static};
pub use terminal::Terminal;
pub use tier::{Tier, turns};
#[allow(unused_imports, reason = "not every test program has one")]
pub use trial::exclusive;
pub use trial::{Trial, main, test};

/// How many of something a test takes: in a virtual machine, which is emulated and that much slower, a twentieth.
pub fn many(count: u32) -> u32 {
    if std::env::var_os("SECCOMP_TRACE_EMULATED").is_some() { count / 20 } else { count }
}

#[cfg(test)]
mod tests;
