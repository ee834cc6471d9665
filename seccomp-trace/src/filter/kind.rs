//! What a filter is, by what it does: engines compile their profiles anew for each container, by its capabilities and kernel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Call, Program, strictest};
use crate::abi::Abi;

/// What a container's filter was made of, as far as its answers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "FilterKind")]
pub enum Kind {
    /// There was no filter.
    None,
    /// It denies nothing, as the profile that `seccomp-trace tracing-profile` prints.
    Tracing,
    /// An engine's default profile: Docker's and containerd's, or Podman's.
    Default,
    /// Another one.
    Other,
}

/// What the default profiles of Docker, containerd and Podman allow personality to ask for, and nothing else
/// (moby/profiles/seccomp/default.json, containers/common/pkg/seccomp/seccomp.json).
const PERSONALITIES: [u64; 5] = [0, 8, 0x20000, 0x20008, 0xffff_ffff];
/// What no default profile lets in, whatever the container may do.
const NEVER: [&str; 3] = ["add_key", "request_key", "userfaultfd"];
/// Numbers that are asked about: all that have names, and some that have none.
const NUMBERS: std::ops::Range<u32> = 0..600;

impl Kind {
    /// Of a container's filters, on a machine with these ABIs, its native one first.
    #[must_use]
    pub fn of(programs: &[&Program], abis: &[Abi]) -> Self {
        let Some(native) = abis.first().copied() else { return Self::Other };
        if programs.is_empty() {
            return Self::None;
        }
        let answer = |abi: Abi, number: u32, first: u64| {
            let call = Call::new(abi, number, [first, 0, 0, 0, 0, 0]);
            strictest(programs.iter().copied(), &call)
        };
        let denies_nothing =
            |abi: &Abi| NUMBERS.into_iter().all(|number| answer(*abi, number, 0) == Action::Allow);
        if abis.iter().all(denies_nothing) {
            return Self::Tracing;
        }
        let named = |name: &str, first: u64| {
            native.number(name).map_or(Action::KillProcess, |number| answer(native, number, first))
        };
        let is_default = PERSONALITIES.iter().all(|asked| named("personality", *asked).lets_in())
            && [1, 4, 0x40000].iter().all(|asked| !named("personality", *asked).lets_in())
            && NEVER.iter().all(|name| matches!(named(name, 0), Action::Errno(_)))
            && ["read", "execve", "socket", "futex"].iter().all(|name| named(name, 2).lets_in());
        if is_default { Self::Default } else { Self::Other }
    }
}
