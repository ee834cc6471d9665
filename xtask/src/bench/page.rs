//! The tables, and the page around them.

use super::document::{Document, Measured, Spread};
use super::judge;
use comfy_table::{Table, presets::ASCII_MARKDOWN};

const BEFORE: &str = include_str!("before.md");
const AFTER: &str = include_str!("after.md");

/// docs/performance.md.
pub fn page(document: &Document) -> String {
    format!("{BEFORE}\n{}\n{AFTER}", tables(document))
}

/// All numbers, and what they are short of.
pub fn tables(document: &Document) -> String {
    let machine = &document.machine;
    let flood = &document.session.flood;
    let mut text = format!(
        "seccomp-trace {}, Linux {}, {} processors ({}).\n",
        machine.version, machine.kernel, machine.processors, machine.processor
    );
    let calls = document.calls.iter().map(|call| {
        let (times, to, target) = match &call.to_baseline {
            Some(ratio) => (shown(&ratio.times), ratio.to.clone(), target(ratio.target)),
            None => (String::new(), String::new(), String::new()),
        };
        vec![call.name.clone(), shown(&call.to_nothing), times, to, target]
    });
    text += &section(
        "One call",
        &["attached", "× nothing attached", "× the baseline", "the baseline", "target"],
        calls,
    );
    let measured = document.session.measured.iter().chain(&document.view.measured);
    text += &section("A session, and the live view", &["what", "", "unit", "target"], measured.map(row));
    let lost = format!(
        "{} different calls were made by all processors, over and over, with a ring buffer of 4 KiB: {} are missing in the \
         recording, and {} are in it without the time and the thread of their first one.",
        flood.distinct, flood.missing, flood.events_lost
    );
    text += &format!("\n## Under a flood\n\n{lost}\n");
    let shown_or = |spread: &Option<Spread>| spread.as_ref().map_or("not installed".to_owned(), shown);
    if !document.peers.is_empty() {
        let peers = document.peers.iter().map(|peer| vec![peer.name.clone(), shown_or(&peer.to_nothing)]);
        text += &section("One call under other tools", &["tool", "× nothing attached"], peers);
    }
    if !document.programs.is_empty() {
        let programs = document
            .programs
            .iter()
            .map(|program| vec![program.name.clone(), shown_or(&program.traced), shown_or(&program.strace)]);
        text +=
            &section("Whole programs", &["program", "× alone, `run`", "× alone, `strace -f -c`"], programs);
    }
    let missed = judge::missed(document, judge::EXACT);
    text += "\n## Targets that are missed\n\n";
    match &missed[..] {
        [] => text += "None.\n",
        missed => missed.iter().for_each(|line| text += &format!("- {line}\n")),
    }
    text
}

fn row(measured: &Measured) -> Vec<String> {
    vec![measured.name.clone(), shown(&measured.value), measured.unit.clone(), target(measured.target)]
}

fn section(title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head).add_rows(rows);
    format!("\n## {title}\n\n{table}\n")
}

fn target(target: Option<f64>) -> String {
    target.map_or_else(String::new, |target| format!("≤ {target}"))
}

/// The median; with its quartiles where they are others.
fn shown(spread: &Spread) -> String {
    let number = |value: f64| if value >= 20.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    let Spread { median, low, high } = *spread;
    if low == high {
        number(median)
    } else {
        format!("{} ({}–{})", number(median), number(low), number(high))
    }
}
