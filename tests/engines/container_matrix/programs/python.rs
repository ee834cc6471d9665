//! python3 with threads and subprocesses.

use std::sync::OnceLock;

use super::{Program, until_it_ends};

/// It ends with 7, to tell its own end from any other.
pub static PYTHON: Program = Program {
    name: "python3",
    options: &[],
    argv: &["python3", "-c", include_str!("python.py")],
    exercise: until_it_ends,
    needs: ["pipe2", "socketpair", "wait4"],
    recorded: OnceLock::new(),
};
