//! `cargo xtask picture`: docs/watch.svg, the screen of `--watch` as it is in a real terminal, with real containers. A test of
//! `tests/engines` runs it, and here it is asked to draw what it sees.

use crate::{cargo, engines_test};
use anyhow::{Context as _, Result};
use std::io::Write as _;

const PICTURE: &str = "docs/watch.svg";
/// The test that shows it, and the variable that asks it to draw.
const TEST: &str = "watch_shows_real_containers_on_a_real_screen";
const DRAW: &str = "SECCOMP_TRACE_PICTURE";

/// Half a minute, and more where the containers' image is made first.
pub fn run() -> Result<()> {
    let path = cargo::root().join(PICTURE);
    engines_test::run(TEST, DRAW, path.as_os_str(), "kernel,docker,debootstrap,tmux")?;
    writeln!(std::io::stdout(), "written: {}", path.display()).context("cannot write to stdout")
}
