//! The kernel program and the tracer on the running kernel: root and BPF.
//!
//! One module a subject, each with `pub fn tests() -> Vec<Trial>`, listed here:

#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main([])
}
