//! What the benchmark writes, and `cargo xtask bench` reads.

use serde::{Deserialize, Serialize};

/// All of it. Of one machine, in one run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Document {
    /// Where it was measured.
    pub machine: Machine,
    /// One call, by way of tracing.
    pub calls: Vec<Call>,
    /// Start, memory, loss.
    pub session: Session,
    /// One call under other tools.
    pub peers: Vec<Peer>,
    /// Whole programs.
    pub programs: Vec<Program>,
    /// The live view.
    pub view: View,
}

/// Where it was measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name, as it says itself.
    pub processor: String,
    /// How many of them.
    pub processors: usize,
    /// The version of seccomp-trace.
    pub version: String,
}

/// The median, and the quartiles.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// A quarter of all lie below it.
    pub low: f64,
    /// A quarter of all lie above it.
    pub high: f64,
}

/// What one call costs under one way of tracing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    /// The way of tracing.
    pub name: String,
    /// Times the call with nothing attached.
    pub to_nothing: Spread,
    /// Times the call under what is the least that this way can cost.
    pub to_baseline: Option<Ratio>,
}

/// A ratio to something.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ratio {
    /// To what.
    pub to: String,
    /// How many times as much.
    pub times: Spread,
    /// What it is meant to be at most.
    pub target: Option<f64>,
}

/// Measured against a target, in the target's unit.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    /// What.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// How much.
    pub value: Spread,
    /// What it is meant to be at most.
    pub target: Option<f64>,
}

/// Start, memory, loss.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    /// Times and sizes.
    pub measured: Vec<Measured>,
    /// What a flood of calls lost.
    pub flood: Flood,
}

/// Every harmless number of every ABI, from all processors.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flood {
    /// Calls of different ABI or number that were made.
    pub distinct: usize,
    /// Of them, those that the recording lacks.
    pub missing: usize,
    /// Live events that found no room.
    pub events_lost: u64,
}

/// One call under another tool.
#[derive(Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Its command line, as far as it matters, or its name.
    pub name: String,
    /// Times the call with nothing attached; none where it is not installed.
    pub to_nothing: Option<Spread>,
}

/// A whole program.
#[derive(Debug, Serialize, Deserialize)]
pub struct Program {
    /// What it does.
    pub name: String,
    /// Under seccomp-trace, times the program alone; none where it is not installed.
    pub traced: Option<Spread>,
    /// Under `strace -f -c`.
    pub strace: Option<Spread>,
}

/// The live view.
#[derive(Debug, Serialize, Deserialize)]
pub struct View {
    /// Times and shares.
    pub measured: Vec<Measured>,
}
