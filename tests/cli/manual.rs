//! completions and man: for real shells, and every subcommand has its page.

use super::seccomp_trace;
use predicates::str::contains;
use std::process::Command;

#[test]
fn bash_completes_subcommands_and_options() {
    let script = seccomp_trace().args(["completions", "bash"]).output().unwrap();
    assert!(script.status.success(), "{script:?}");
    let script = String::from_utf8(script.stdout).unwrap();
    assert_eq!(completed(&script, &["seccomp-trace", "tracing-p"]), "tracing-profile\n");
    assert_eq!(completed(&script, &["seccomp-trace", "record", "--recording-"]), "--recording-dir\n");
}

/// What bash would offer for the last of `words`, one a line.
fn completed(script: &str, words: &[&str]) -> String {
    let test = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}\n\
         $(complete -p seccomp-trace | grep -o -- '-F [^ ]*' | cut -c 4-) seccomp-trace \"$1\" \"$2\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1
    );
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let output = Command::new("bash").args(["-c", &test, "bash", last, before]).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn other_shells_have_completions() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        seccomp_trace().args(["completions", shell]).assert().success().stdout(contains("tracing-profile"));
    }
    seccomp_trace().args(["completions", "tcsh"]).assert().code(2).stderr(contains("possible values"));
}

#[test]
fn every_subcommand_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    seccomp_trace().args(["man", "--output-dir"]).arg(folder.path()).assert().success().stdout("");
    let help = String::from_utf8(seccomp_trace().arg("--help").output().unwrap().stdout).unwrap();
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is indented more is the rest of a description.
    let names: Vec<_> = listed
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.contains(&"record"), "{help}");
    for name in &names {
        let page = std::fs::read_to_string(folder.path().join(format!("seccomp-trace-{name}.1"))).unwrap();
        seccomp_trace().args(["man", name]).assert().success().stdout(page);
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), names.len() + 1);
    let page = std::fs::read_to_string(folder.path().join("seccomp-trace-record.1")).unwrap();
    assert!(page.contains("\\-\\-recording\\-dir") && page.contains(".TH seccomp-trace-record 1"), "{page}");
}

#[test]
fn a_page_that_cannot_be_had_says_why() {
    seccomp_trace().args(["man", "recrod"]).assert().code(2).stderr(contains("no subcommand recrod"));
    let nowhere = ["man", "--output-dir", "/nonexistent"];
    seccomp_trace().args(nowhere).assert().code(2).stderr(contains("/nonexistent"));
}
