//! docs/portable.md is what the table of `--portable` renders to, and `--help` names the option.

use std::fmt::Write as _;
use std::fs;

use predicates::str::contains;
use seccomp_trace::tables::portable::PORTABLE;

use crate::{fixture, seccomp_trace};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/portable.md");
/// Where the table begins; what stands before it is written by hand.
const TABLE: &str = "| where one of these is allowed | these are added | why | source |\n";

fn table() -> String {
    let mut table = format!("{TABLE}|---|---|---|---|\n");
    for row in PORTABLE {
        let code =
            |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
        let adds = if row.any_of == row.adds { "the others".to_owned() } else { code(row.adds) };
        let any_of = if row.any_of.is_empty() { "always".to_owned() } else { code(row.any_of) };
        writeln!(table, "| {any_of} | {adds} | {} | {} |", row.reason, row.source).unwrap();
    }
    table
}

#[test]
fn the_document_has_the_programs_own_table() {
    let committed = fs::read_to_string(DOCUMENT).unwrap();
    let (by_hand, _) = committed.split_once(TABLE).unwrap();
    let rendered = format!("{by_hand}{}", table());
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(DOCUMENT, &rendered).unwrap();
    }
    assert!(
        fs::read_to_string(DOCUMENT).unwrap() == rendered,
        "docs/portable.md is not the table of seccomp-trace/src/tables/portable.rs; \
         run: UPDATE_DOCUMENTS=1 cargo test -p seccomp-trace --test cli document"
    );
}

#[test]
fn portable_is_in_the_help_and_gives_its_reasons() {
    for command in ["run", "record", "generate"] {
        seccomp_trace().args([command, "--help"]).assert().success().stdout(contains("--portable"));
    }
    let recording = fixture("recording-v2.json");
    let assert = seccomp_trace().args(["generate", "-v", "--portable", &recording]).assert().success();
    assert
        .stdout(contains("\"clone3\""))
        .stderr(contains("allow clock_gettime: portable: the vDSO answers it without a call"))
        .stderr(contains("allow epoll_pwait2: portable: "));
}
