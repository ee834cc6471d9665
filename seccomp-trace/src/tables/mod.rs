//! Measured and documented facts as data, each with its source: what runtimes call when they start a
//! container, what a profile always needs, what a filter is never asked about. No policy: what a
//! profile makes of them is decided in [`crate::profile`].

pub mod always;
pub mod never;
pub mod portable;
pub mod runtimes;
