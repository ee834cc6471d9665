//! Real container engines and runtimes, with real programs in their containers.
//!
//! One module a subject, each with `pub fn tests() -> Vec<Trial>`, listed here:

mod proof;
mod readme;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main([proof::tests(), readme::tests()])
}
