//! What the tests of the kernel side share: a place for each test, cgroups, small programs with known calls, and
//! waiting for conditions.

mod bundle;
mod case;
mod cgroup;
mod facts;
pub mod many;
mod programs;
mod recorder;
mod wait;

pub use bundle::bundle;
pub use case::{Case, LIMIT, expect, stderr};
pub use cgroup::Cgroup;
pub use facts::{allowed, architectures, json, names, numbers, set};
pub use programs::{bare, bare_32_bit, static_with_libc, with_libc};
pub use recorder::Recorder;
pub use wait::{eventually, has_ended};
