//! Starting a command in a cgroup of its own: as whom, with which signals, and what is left of it.

mod cgroup;
mod command;
mod signals;
mod step;
mod user;

pub use cgroup::{LaunchCgroup, OrphanPolicy};
pub use command::{CommandError, GatedChild, Streams, resolve, spawn};
pub use signals::{Ends, Signal, Signals};
pub use step::Step;
pub use user::{User, UserError};
