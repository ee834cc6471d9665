//! The proof on real programs: recorded while it works, each of them works the same under its profile, in
//! 20 of 20 starts; it does not without a call that it needs; and an independent witness saw the same calls.

pub mod command;
pub mod container;
pub mod image;
mod programs;
mod record;
mod starts;
mod witness;

use anyhow::Result;
use programs::{NGINX, PYTHON, REDIS, SHELL};
use record::{record, shared};
use starts::{fails_without_its_calls, works};

use crate::support::{Need, Trial, test};

const STARTS: usize = 20;
const USER: &[&str] = &["--user=1000:1000"];
const NO_NEW_PRIVILEGES: &[&str] = &["--security-opt=no-new-privileges"];

const DOCKER: &[Need] = &[Need::Kernel, Need::Docker, Need::Debootstrap];
const WITNESS: &[Need] = &[Need::Kernel, Need::Strace, Need::Cc];

/// The tests.
pub fn tests() -> Vec<Trial> {
    vec![
        test("nginx_works_under_its_profile", DOCKER, || works(&NGINX, shared(&NGINX)?, &[], STARTS)),
        test("redis_works_under_its_profile", DOCKER, || works(&REDIS, shared(&REDIS)?, &[], STARTS)),
        test("python_works_under_its_profile", DOCKER, || works(&PYTHON, shared(&PYTHON)?, &[], STARTS)),
        test("shell_works_under_its_profile", DOCKER, || works(&SHELL, shared(&SHELL)?, &[], STARTS)),
        test("nginx_fails_without_its_calls", DOCKER, || fails_without_its_calls(&NGINX, shared(&NGINX)?)),
        test("redis_fails_without_its_calls", DOCKER, || fails_without_its_calls(&REDIS, shared(&REDIS)?)),
        test("python_fails_without_its_calls", DOCKER, || fails_without_its_calls(&PYTHON, shared(&PYTHON)?)),
        test("shell_fails_without_its_calls", DOCKER, || fails_without_its_calls(&SHELL, shared(&SHELL)?)),
        test("python_works_as_another_user", DOCKER, || {
            works(&PYTHON, &record(&PYTHON, USER)?, USER, STARTS)
        }),
        test("python_works_with_no_new_privileges", DOCKER, || {
            works(&PYTHON, &record(&PYTHON, NO_NEW_PRIVILEGES)?, NO_NEW_PRIVILEGES, STARTS)
        }),
        test("a_profile_covers_other_ways_to_start", DOCKER, other_ways_to_start),
        test("strace_sees_the_same_calls_of_a_run", WITNESS, witness::agrees),
    ]
}

/// With no-new-privileges, runc makes the fewest calls; the profile has those of the other ways all the same.
fn other_ways_to_start() -> Result<()> {
    let recorded = record(&SHELL, NO_NEW_PRIVILEGES)?;
    works(&SHELL, &recorded, &[], 5)?;
    works(&SHELL, &recorded, USER, 5)
}
