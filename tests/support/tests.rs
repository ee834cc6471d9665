//! The harness itself, run by the suite `cli`: a harness that doesn't skip, or skips what it mustn't, would make
//! every other test worthless.

use super::trial::{Verdict, report, required, verdict};
use super::*;
use libtest_mimic::{Arguments, Conclusion};
use serde_json::json;
use std::time::{Duration, Instant};

fn only_docker_is_missing(need: Need) -> Result<(), String> {
    if need == Need::Docker { Err("no daemon".into()) } else { Ok(()) }
}

#[test]
fn a_test_runs_where_its_needs_are_met() {
    assert_eq!(verdict(&[Need::Kernel, Need::Cc], &Need::ALL, only_docker_is_missing), Verdict::Run);
}

#[test]
fn an_unmet_need_skips_with_its_reason() {
    let needs = [Need::Kernel, Need::Docker];
    let skip = verdict(&needs, &[Need::Kernel], only_docker_is_missing);
    assert_eq!(skip, Verdict::Skip("docker: no daemon".into()));
}

#[test]
fn an_unmet_need_that_is_required_fails() {
    let Verdict::Fail(reason) = verdict(&[Need::Docker], &[Need::Docker], only_docker_is_missing) else {
        panic!("it did not fail");
    };
    assert!(reason.contains("docker: no daemon"), "{reason}");
}

#[test]
fn requirements_are_read_and_a_misspelt_one_is_an_error() {
    assert_eq!(required("").unwrap(), []);
    assert_eq!(required("kernel, docker,").unwrap(), [Need::Kernel, Need::Docker]);
    assert!(required("kernel,dokcer").unwrap_err().contains("`dokcer`"));
}

#[test]
fn needs_are_in_the_order_of_their_declaration() {
    for (index, need) in Need::ALL.into_iter().enumerate() {
        assert_eq!(need as usize, index, "{need:?}");
    }
}

#[test]
fn errors_and_panics_fail_a_test() {
    let tests = vec![
        test("good", &[], || Ok(())),
        test("error", &[], || anyhow::bail!("on purpose")),
        test("panic", &[], || panic!("on purpose")),
        test("long", &[], || panic!("not on a commit")).only_in_full(),
    ];
    // Its totals would be counted with those of this program.
    let logfile = Some("/dev/null".into());
    let arguments = Arguments { logfile, test_threads: Some(1), ..Arguments::default() };
    let Conclusion { num_passed, num_failed, num_ignored, .. } =
        libtest_mimic::run(&arguments, tests.into_iter().map(Into::into).collect());
    assert_eq!((num_passed, num_failed, num_ignored), (1, 2, 1));
}

#[test]
fn a_commit_takes_a_few_turns_of_many() {
    assert_eq!([1, 2, 10, 20].map(|all| Tier::Commit.turns(all)), [1, 2, 2, 4]);
    assert_eq!(Tier::Full.turns(20), 20);
}

#[test]
fn skips_are_reported_one_a_line() {
    let folder = temp_dir().unwrap();
    let file = folder.path().join("skipped");
    for test in ["a", "b"] {
        let skip = json!({ "test": test, "reason": "say \"why\"\nin two lines" });
        report(file.to_str().unwrap(), &skip).unwrap();
    }
    let report = std::fs::read_to_string(file).unwrap();
    assert_eq!(report.lines().count(), 2);
    assert_eq!(report.lines().next().unwrap(), r#"{"reason":"say \"why\"\nin two lines","test":"a"}"#);
}

#[test]
fn a_program_is_run_with_its_output_and_status() {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "sleep 100 & echo out; echo err >&2; exit 3"]);
    let started = Instant::now();
    let output = run_with_timeout(&mut shell, Duration::from_secs(10)).unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "what it left behind held it up");
    assert_eq!(
        (output.status.code(), &*output.stdout, &*output.stderr),
        (Some(3), &b"out\n"[..], &b"err\n"[..])
    );
}

#[test]
fn a_program_that_hangs_is_killed_with_its_children() {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "sleep 100 & echo $!; wait"]);
    let error = run_with_timeout(&mut shell, Duration::from_millis(300)).unwrap_err().to_string();
    assert!(error.contains("was killed after 300ms"), "{error}");
    let child: u32 = error.split('"').nth(1).unwrap().trim_end_matches("\\n").parse().unwrap();
    let alive =
        || std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let end = Instant::now() + Duration::from_secs(5);
    while alive() {
        assert!(Instant::now() < end, "process {child} is still alive");
        std::thread::sleep(Duration::from_millis(10));
    }
}
