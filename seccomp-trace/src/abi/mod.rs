//! ABIs, numbers and names: one syscall numbering each, and what seccomp calls it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One syscall numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 32-bit x86, also by `int $0x80` from a 64-bit program.
    I386,
    /// 32-bit pointers in 64-bit mode: the x86_64 table with bit 30 set, and its own 512–547.
    X32,
}
