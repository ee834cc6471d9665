//! The proof on real programs: recorded while it works, each of them works the same under its profile, in
//! 20 of 20 starts; it does not without a call that it needs; and an independent witness saw the same calls.

mod command;
mod container;
mod image;
mod programs;
mod record;
mod starts;
mod witness;

use anyhow::Result;
use programs::{NGINX, PYTHON, REDIS, SHELL};
use record::{record, shared};
use starts::{fails_without_its_calls, works};

const STARTS: usize = 20;
const USER: &[&str] = &["--user=1000:1000"];
const NO_NEW_PRIVILEGES: &[&str] = &["--security-opt=no-new-privileges"];

/// A test's name, and the test.
pub type Test = (&'static str, fn() -> Result<()>);

/// The tests; all but `witness::…` need Docker, debootstrap and BPF.
pub fn tests() -> Vec<Test> {
    vec![
        ("proof::nginx_works_under_its_profile", || works(&NGINX, shared(&NGINX)?, &[], STARTS)),
        ("proof::redis_works_under_its_profile", || works(&REDIS, shared(&REDIS)?, &[], STARTS)),
        ("proof::python_works_under_its_profile", || works(&PYTHON, shared(&PYTHON)?, &[], STARTS)),
        ("proof::shell_works_under_its_profile", || works(&SHELL, shared(&SHELL)?, &[], STARTS)),
        ("proof::nginx_fails_without_its_calls", || fails_without_its_calls(&NGINX, shared(&NGINX)?)),
        ("proof::redis_fails_without_its_calls", || fails_without_its_calls(&REDIS, shared(&REDIS)?)),
        ("proof::python_fails_without_its_calls", || fails_without_its_calls(&PYTHON, shared(&PYTHON)?)),
        ("proof::shell_fails_without_its_calls", || fails_without_its_calls(&SHELL, shared(&SHELL)?)),
        ("proof::python_works_as_another_user", || works(&PYTHON, &record(&PYTHON, USER)?, USER, STARTS)),
        ("proof::python_works_with_no_new_privileges", || {
            works(&PYTHON, &record(&PYTHON, NO_NEW_PRIVILEGES)?, NO_NEW_PRIVILEGES, STARTS)
        }),
        ("proof::a_profile_covers_other_ways_to_start", other_ways_to_start),
        ("witness::strace_saw_the_same_calls", witness::agrees),
        ("witness::reads_straces_log", witness::reads_a_log),
    ]
}

/// With no-new-privileges, runc makes the fewest calls; the profile has those of the other ways all the same.
fn other_ways_to_start() -> Result<()> {
    let recorded = record(&SHELL, NO_NEW_PRIVILEGES)?;
    works(&SHELL, &recorded, &[], 5)?;
    works(&SHELL, &recorded, USER, 5)
}
