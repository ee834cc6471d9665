//! A shell pipeline: many short processes, pipes and redirections.

use std::sync::OnceLock;

use super::{Program, until_it_ends};

/// It ends with 3, to tell its own end from any other.
pub static SHELL: Program = Program {
    name: "shell",
    options: &[],
    argv: &["bash", "-c", include_str!("shell.sh")],
    exercise: until_it_ends,
    needs: ["clone", "pipe2", "symlinkat"],
    recorded: OnceLock::new(),
};
