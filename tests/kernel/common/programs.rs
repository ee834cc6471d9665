//! Small programs in a test's folder.

use super::TestEnv;
use crate::support::compile;
use anyhow::Result;

/// As [`compile::bare`].
pub fn bare(case: &TestEnv, name: &str, body: &str) -> Result<String> {
    compile::bare(case.folder.path(), name, body)
}

/// As [`compile::bare_32_bit`].
pub fn bare_32_bit(case: &TestEnv, name: &str, body: &str) -> Result<String> {
    compile::bare_32_bit(case.folder.path(), name, body)
}

/// As [`compile::with_libc`].
pub fn with_libc(case: &TestEnv, name: &str, source: &str) -> Result<String> {
    compile::with_libc(case.folder.path(), name, source)
}

/// As [`compile::static_with_libc`].
#[cfg(target_arch = "x86_64")]
pub fn static_with_libc(case: &TestEnv, name: &str, source: &str) -> Result<String> {
    compile::static_with_libc(case.folder.path(), name, source)
}
