//! `--watch` where there is no terminal: lines for people, and objects for programs.

use crate::{
    common::{TestEnv, bare, expect, stderr, with_libc},
    support::{self, Need, Trial},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("a_line_is_told_for_each_call_that_is_recorded_and_no_other", needs, lines),
        support::test("json_lines_are_what_their_schema_says", needs, json),
        support::test("a_denial_is_a_line_as_it_happens", needs, denial),
        support::test("what_the_ring_buffer_lost_is_a_line_all_the_same", needs, lost),
        support::test("a_reader_of_lines_who_goes_away_ends_nothing", needs, gone),
        support::test("names_of_threads_reach_no_terminal_as_they_are", needs, hostile),
    ]
}

const RARE: &str = "call(__NR_sched_get_priority_max, 0, 0, 0); call(__NR_getitimer, 0, 0, 0); call(__NR_getitimer, 0, 0, 0);";

fn lines() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "rare", RARE)?;
    let output = case.run(&["--watch"], &[&program])?;
    expect(&output, 0, &[])?;
    let told = stderr(&output);
    let told: Vec<_> = told.lines().filter(|line| line.contains("  by rare")).collect();
    let names: BTreeSet<_> =
        told.iter().filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned)).collect();
    let recording = case.recording()?;
    let recorded = recording.syscalls.values().flatten().filter_map(|syscall| syscall.name.clone());
    ensure!(names == recorded.collect(), "{told:?}");
    ensure!(names.contains("getitimer") && told.len() == names.len(), "{told:?}");
    Ok(())
}

fn objects(output: &std::process::Output) -> Result<Vec<Value>> {
    let text = stderr(output);
    let objects = text.lines().filter(|line| line.starts_with('{'));
    objects.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn json() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "rare", RARE)?;
    let output = case.run(&["--watch", "--watch-format", "json", "--portable"], &[&program])?;
    expect(&output, 0, &[])?;
    let objects = objects(&output)?;
    let schema = include_str!("../../docs/watch-format.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema)?)?;
    for object in &objects {
        ensure!(schema.is_valid(object), "{object}");
    }
    ensure!(objects.iter().any(|object| object["event"] == "container" && object["running"] == true));
    let calls: Vec<_> = objects.iter().filter(|object| object["name"] == "getitimer").collect();
    ensure!(
        calls.len() == 1 && calls[0]["comm"] == "rare" && calls[0]["origin"] == "application",
        "{calls:?}"
    );
    let ended = objects.iter().rposition(|object| object["running"] == false);
    ensure!(ended.is_some(), "the end is not told: {objects:?}");
    Ok(())
}

/// Its own filter, as there is no runtime here.
fn denial() -> Result<()> {
    let case = TestEnv::new()?;
    let program = with_libc(&case, "denied", DENIED)?;
    let output = case.run(&["--watch", "--watch-format", "json"], &[&program])?;
    let denied: Vec<_> = objects(&output)?.into_iter().filter(|object| object["event"] == "denied").collect();
    ensure!(denied.len() == 1, "{denied:?}\n{}", stderr(&output));
    let denied = &denied[0];
    ensure!(
        denied["name"] == "getitimer" && denied["action"] == serde_json::json!({"errno": 13}),
        "{denied}"
    );
    ensure!(denied["own_filter"] == true && denied["supervised"] == false, "{denied}");
    ensure!(denied["comm"] == "denied", "{denied}");
    Ok(())
}

const DENIED: &str = r#"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_getitimer, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 13),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { 4, code };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
    for (int i = 0; i < 3; i++) syscall(__NR_getitimer, 0, 0);
}
"#;

fn lost() -> Result<()> {
    let case = TestEnv::new()?;
    // Numbers that are no calls, more than the smallest ring holds.
    let program = bare(&case, "quick", "for (long n = 1000; n < 4000; n++) call(n, 0, 0, 0);")?;
    let output = case.run(&["--watch", "--watch-format", "json", "--ring-buffer", "4096"], &[&program])?;
    let calls: Vec<_> = objects(&output)?.into_iter().filter(|object| object["event"] == "syscall").collect();
    let numbers: BTreeSet<_> = calls.iter().filter_map(|call| call["number"].as_u64()).collect();
    ensure!((1000..4000).all(|number| numbers.contains(&number)), "{} calls are told", numbers.len());
    ensure!(calls.len() == numbers.len(), "{} lines of {} calls", calls.len(), numbers.len());
    ensure!(
        calls.iter().any(|call| call["comm"].is_null()),
        "the ring has held all news: this proves nothing"
    );
    Ok(())
}

fn gone() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "rare", RARE)?;
    let script = "set -o pipefail; { \"$0\" \"$@\" 2>&1 >&3; } 3>/dev/null | head --lines=1";
    let mut command = case.command(["bash", "-c", script]);
    command.arg(support::program().get_program()).args(case.run_words(&["--watch"], &[&program]));
    let output = support::run_with_timeout(&mut command, crate::common::LIMIT)?;
    expect(&output, 0, &[])?;
    ensure!(crate::common::allowed(&case.profile()?).contains("getitimer"));
    Ok(())
}

fn hostile() -> Result<()> {
    let case = TestEnv::new()?;
    let source = "#include <sys/prctl.h>\n#include <sys/time.h>\n
        int main(void) { prctl(PR_SET_NAME, \"\\033[2J\\n\\233x\"); struct itimerval v; return getitimer(0, &v); }";
    let program = with_libc(&case, "hostile", source)?;
    for format in ["lines", "json"] {
        let output = case.run(&["--watch", "--watch-format", format], &[&program])?;
        expect(&output, 0, &[])?;
        let line = stderr(&output).lines().find(|line| line.contains("getitimer")).map(str::to_owned);
        let line = line.context("no line of getitimer")?;
        ensure!(!line.chars().any(char::is_control) && line.contains("[2J"), "{line:?}");
    }
    Ok(())
}
