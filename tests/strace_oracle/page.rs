//! docs/exactness.md, from the results alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::calls::Abi;
use super::compare::{Comparison, Exception, Kind};
use super::results::{Results, StressorResult};

/// The page.
pub fn render(results: &Results, exceptions: &[Exception]) -> String {
    let mut page = include_str!("introduction.md").to_owned();
    let versions = results.versions.iter().map(|(what, version)| format!("{what} {version}"));
    page += &format!("\nWith {}.\n", versions.collect::<Vec<_>>().join(", "));
    page += &summary(results);
    page += &programs(results);
    page += &stressors(results);
    page += &self::exceptions(exceptions);
    page
}

fn summary(results: &Results) -> String {
    let mut calls: BTreeMap<Abi, BTreeSet<&String>> = BTreeMap::new();
    for (_, comparison) in results.compared() {
        for (abi, names) in &comparison.agreed {
            calls.entry(*abi).or_default().extend(names);
        }
    }
    let is_number = |call: &&&String| call.bytes().all(|byte| byte.is_ascii_digit());
    let counts: Vec<_> = calls
        .iter()
        .map(|(abi, calls)| {
            let numbers = calls.iter().filter(is_number).count();
            format!("{} calls of {abi} and {numbers} numbers that it has no call for", calls.len() - numbers)
        })
        .collect();
    let equal = results.compared().filter(|(_, comparison)| comparison.is_equal()).count();
    let total = results.compared().count();
    let differences: usize = results.compared().map(|(_, seen)| seen.differences.len()).sum();
    format!(
        "\n**Executions: {total}, with equal sets: {equal}, differences: {differences}, executions with an \
         undecided call: {}.** Together they made {}.\n",
        results.compared().filter(|(_, seen)| !seen.undecided.is_empty()).count(),
        counts.join(", ")
    )
}

fn programs(results: &Results) -> String {
    let mut text = "\n## Programs\n\n| program | kind | Debian's package | what it does | recorded | strace | difference |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for program in &results.programs {
        let (recorded, straced) = counts(&program.comparison);
        let _ = writeln!(
            text,
            "| {} | {} | {} {} | {} | {recorded} | {straced} | {} |",
            program.name,
            program.kind,
            program.package,
            program.version,
            program.does,
            differences(&program.comparison)
        );
    }
    text
}

fn stressors(results: &Results) -> String {
    let all = &results.stressors;
    let ran: Vec<_> = all.iter().filter(|one| one.comparison.is_some() && one.skipped.is_none()).collect();
    let skipped: Vec<_> = all.iter().filter_map(|one| Some((one, one.skipped.as_ref()?))).collect();
    let not_run: Vec<_> = all.iter().filter_map(|one| Some((one, one.not_run.as_ref()?))).collect();
    let mut text = format!(
        "\n## Stressors of stress-ng\n\n{} stressors: {} ran, {} can't run here, {} are not run.\n",
        all.len(),
        ran.len(),
        skipped.len(),
        not_run.len()
    );
    text += "\n### With equal sets\n\nIn parentheses how many calls both saw; \\* as root.\n\n";
    let equal = |one: &&&StressorResult| one.comparison.as_ref().is_some_and(Comparison::is_equal);
    let names: Vec<_> = ran.iter().filter(equal).map(|one| counted(one)).collect();
    text += &names.join(", ");
    text += "\n\n### With a difference, or with an undecided call\n\n";
    let unequal = all.iter().filter_map(|one| Some((one, one.comparison.as_ref()?)));
    let unequal = unequal.filter(|(_, seen)| !seen.is_equal());
    text += &table(["stressor", "difference"], unequal.map(|(one, seen)| (&one.name, differences(seen))));
    text += "\n### That can't run here\n\nAs stress-ng says; what it called until then was compared too. `ptrace` can't trace what strace traces.\n\n";
    let reasons = skipped.iter().map(|(one, reason)| (&one.name, escaped(reason)));
    text += &table(["stressor", "reason"], reasons);
    text += "\n### That are not run\n\nTheir effects reach beyond a namespace, or they have no end.\n\n";
    text += &table(
        ["stressor", "what it does"],
        not_run.iter().map(|(one, reason)| (&one.name, escaped(reason))),
    );
    text
}

fn exceptions(exceptions: &[Exception]) -> String {
    let rows = exceptions.iter();
    let rows =
        rows.map(|one| (one.subjects.join(", "), format!("{} | {}", one.difference, escaped(&one.why))));
    format!("\n## Exceptions\n\n{}", table(["in", "difference | why it is right"], rows))
}

/// How many calls were recorded, and how many strace saw.
fn counts(comparison: &Comparison) -> (usize, usize) {
    (comparison.count(Kind::OnlyStrace), comparison.count(Kind::OnlyRecording))
}

fn counted(one: &StressorResult) -> String {
    let count = one.comparison.as_ref().map_or(0, |seen| counts(seen).0);
    let star = if one.user.as_deref() == Some("root") { "\\*" } else { "" };
    format!("{}{star} ({count})", one.name)
}

fn differences(comparison: &Comparison) -> String {
    let mut differences: Vec<_> = comparison.differences.iter().map(ToString::to_string).collect();
    for (abi, calls) in &comparison.undecided {
        differences.extend(calls.iter().map(|call| format!("undecided: {abi} {call}")));
    }
    if differences.is_empty() { "none".to_owned() } else { differences.join("; ") }
}

fn table(head: [&str; 2], rows: impl Iterator<Item = (impl AsRef<str>, String)>) -> String {
    let rows: Vec<_> = rows.map(|(name, text)| format!("| {} | {text} |\n", name.as_ref())).collect();
    if rows.is_empty() {
        return "None.\n".to_owned();
    }
    let columns = head.join(" | ");
    let line = "|---".repeat(columns.split('|').count());
    format!("| {columns} |\n{line}|\n{}", rows.concat())
}

/// What another program said, in a table's cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}
