//! The proof on real programs: recorded while it works, each of them works the same under its profile, in
//! 20 of 20 starts; it does not without a call that it needs; and an independent oracle saw the same calls.

pub mod command;
pub mod container;
pub mod image;
mod minimality;
mod programs;
mod record;
mod starts;
mod strace_run;

use anyhow::{Result, ensure};
use programs::{NGINX, PYTHON, REDIS, SHELL};
use record::{Recorded, record, record_under, shared};
use starts::{fails_without_its_calls, works};

use crate::support::{Need, Trial, exclusive, test, turns};

const STARTS: usize = 20;
const USER: &[&str] = &["--user=1000:1000"];
const NO_NEW_PRIVILEGES: &[&str] = &["--security-opt=no-new-privileges"];

const DOCKER: &[Need] = &[Need::Kernel, Need::Docker, Need::Debootstrap];
const STRACE: &[Need] = &[Need::Kernel, Need::Strace, Need::Cc];

/// The tests.
pub fn tests() -> Vec<Trial> {
    let mut tests = vec![
        test("nginx_works_under_its_profile", DOCKER, || works(&NGINX, shared(&NGINX)?, &[], turns(STARTS))),
        test("redis_works_under_its_profile", DOCKER, || works(&REDIS, shared(&REDIS)?, &[], STARTS))
            .only_in_full(),
        test("python_works_under_its_profile", DOCKER, || works(&PYTHON, shared(&PYTHON)?, &[], STARTS))
            .only_in_full(),
        test("shell_works_under_its_profile", DOCKER, || works(&SHELL, shared(&SHELL)?, &[], turns(STARTS))),
        test("nginx_fails_without_its_calls", DOCKER, || fails_without_its_calls(&NGINX, shared(&NGINX)?))
            .only_in_full(),
        test("redis_fails_without_its_calls", DOCKER, || fails_without_its_calls(&REDIS, shared(&REDIS)?))
            .only_in_full(),
        test("python_fails_without_its_calls", DOCKER, || fails_without_its_calls(&PYTHON, shared(&PYTHON)?))
            .only_in_full(),
        test("shell_fails_without_its_calls", DOCKER, || fails_without_its_calls(&SHELL, shared(&SHELL)?)),
        test("python_works_as_another_user", DOCKER, || {
            works(&PYTHON, &record(&PYTHON, USER)?, USER, STARTS)
        })
        .only_in_full(),
        test("python_works_with_no_new_privileges", DOCKER, || {
            works(&PYTHON, &record(&PYTHON, NO_NEW_PRIVILEGES)?, NO_NEW_PRIVILEGES, STARTS)
        })
        .only_in_full(),
        test("python_works_under_a_profile_made_under_dockers_default", DOCKER, under_dockers_default),
        test("a_profile_covers_other_ways_to_start", DOCKER, other_ways_to_start),
        test("strace_sees_the_same_calls_of_a_run", STRACE, strace_run::agrees),
        test("each_call_of_a_profile_has_its_reason", DOCKER, minimality::each_call_has_its_reason)
            .only_in_full(),
        test(
            "the_page_on_minimality_has_the_reasons_of_today",
            &[],
            minimality::documented_reasons_are_those_of_the_tables,
        ),
    ];
    if let Some(path) = std::env::var_os(minimality::MEASURE) {
        tests.push(exclusive("minimality_is_measured", DOCKER, move || minimality::measure(path.as_ref())));
    }
    tests
}

/// Which answers ENOSYS to clone3, so that glibc takes clone: threads start only where the profile answers the same.
fn under_dockers_default() -> Result<()> {
    let recorded = record_under(&PYTHON, &[], None)?;
    ensure!(!recorded.calls.contains("clone3"), "{:?}", recorded.calls);
    works(&PYTHON, &recorded, &[], turns(STARTS))?;
    let other_errno = recorded.profile.replace("\"errnoRet\": 38", "\"errnoRet\": 1");
    ensure!(other_errno != recorded.profile, "{}", recorded.profile);
    let broken = Recorded { profile: other_errno, ..recorded };
    ensure!(works(&PYTHON, &broken, &[], 1).is_err(), "its threads start without clone3's ENOSYS");
    Ok(())
}

/// With no-new-privileges, runc makes the fewest calls; the profile has those of the other ways all the same.
fn other_ways_to_start() -> Result<()> {
    let recorded = record(&SHELL, NO_NEW_PRIVILEGES)?;
    works(&SHELL, &recorded, &[], 5)?;
    works(&SHELL, &recorded, USER, 5)
}
