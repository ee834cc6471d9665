//! What the tests of the kernel side share: a place for each test, cgroups, small programs with known calls, and
//! waiting for conditions.

mod bundle;
mod case;
mod cgroup;
mod engine;
mod facts;
pub mod many;
mod programs;
mod recorder;
mod wait;

pub use bundle::bundle;
pub use case::{LIMIT, TestEnv, expect, stderr};
pub use cgroup::Cgroup;
pub use engine::FakeEngine;
pub use facts::{NATIVE, allowed, architectures, json, names, numbers, preempts, set};
#[cfg(target_arch = "x86_64")]
pub use programs::static_with_libc;
pub use programs::{bare, bare_32_bit, with_libc};
pub use recorder::Recorder;
pub use wait::{eventually, has_ended};
