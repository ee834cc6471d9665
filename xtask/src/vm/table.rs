//! The README's table of kernels, made from a run.

use super::kernels::Pin;
use crate::cargo;
use crate::test::Tally;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

const BEGIN: &str = "<!-- kernels: written by `cargo xtask test --vm --write-table` -->\n";
const END: &str = "<!-- end of kernels -->\n";
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// What comes out on one kernel.
pub struct Row {
    /// The kernel.
    pub pin: Pin,
    /// As the kernel itself said: its architecture and release.
    pub kernel: String,
    /// Of its tests.
    pub tally: Tally,
    /// Have its tests told their totals?
    pub has_totals: bool,
    /// The beginning of all.
    pub began: Instant,
}

/// Puts what came out into the README's table, failures too. Of kernels that did not run it keeps what it has.
pub fn write(rows: &[Row]) -> Result<()> {
    let path = cargo::root().join("README.md");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = updated(&text, rows).with_context(|| format!("{} has no such table", path.display()))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn updated(text: &str, rows: &[Row]) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (table, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", render(table, rows)))
}

/// One line a kernel's version, one column an architecture.
fn render(before: &str, rows: &[Row]) -> String {
    let mut lines: BTreeMap<Vec<u32>, (String, [String; 2])> = BTreeMap::new();
    for line in before.lines().skip(2) {
        if let ["", version, x86_64, aarch64, ""] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] {
            let cells = [x86_64, aarch64].map(str::to_owned);
            lines.insert(order(version), (version.to_owned(), cells));
        }
    }
    for row in rows {
        let Some((architecture, version)) = row.pin.name.rsplit_once('-') else { continue };
        let Some(column) = ARCHITECTURES.iter().position(|its| *its == architecture) else { continue };
        let version = version.replace('+', ", ");
        let line = lines.entry(order(&version)).or_default();
        line.0 = version;
        let release = row.kernel.split(' ').next_back().unwrap_or_default();
        let [passed, failed, skipped] = row.tally.totals();
        let others = [(failed, "failed"), (skipped, "skipped")].into_iter().filter(|(count, _)| *count > 0);
        let others: String = others.map(|(count, what)| format!(", {count} {what}")).collect();
        line.1[column] = match &row.pin.lacks {
            Some(_) if failed == 0 => "refused, with the reason".into(),
            _ => format!("{passed} tests passed{others} ({release})"),
        };
    }
    let mut table = format!("| Linux | {} |\n|---|---|---|\n", ARCHITECTURES.join(" | "));
    for (version, cells) in lines.values() {
        table += &format!("| {version} | {} |\n", cells.join(" | "));
    }
    table
}

/// Versions by their numbers; what is special about one comes after it.
fn order(version: &str) -> Vec<u32> {
    version.split(['.', ',']).map(|number| number.parse().unwrap_or(u32::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, Row, updated};
    use crate::vm::kernels::Pin;

    fn row(name: &str, kernel: &str, [passed, failed, skipped]: [u64; 3], lacks: Option<&str>) -> Row {
        let [package, version, suite, arguments] = [(); 4].map(|()| String::new());
        let lacks = lacks.map(str::to_owned);
        let pin =
            Pin { name: name.into(), package, version, suite, arguments, counts_instructions: false, lacks };
        let mut row = Row { kernel: kernel.into(), ..Row::new(pin) };
        let totals = format!("test result: ok. {passed} passed; {failed} failed; {skipped} ignored");
        assert!(row.tally.count(name, &totals));
        row
    }

    #[test]
    fn a_table_has_a_line_a_version_in_their_order() {
        let rows = [
            row("x86_64-6.12", "x86_64 6.12.1", [140, 0, 0], None),
            row("x86_64-6.1", "x86_64 6.1.0-50", [139, 0, 1], None),
            row("x86_64-5.10", "x86_64 5.10.0", [1, 0, 0], Some("version")),
            row("aarch64-6.1", "aarch64 6.1.0-50", [120, 1, 3], None),
            row("x86_64-6.12+lockdown", "x86_64 6.12.1", [1, 0, 0], Some("version")),
        ];
        let text = format!("a\n{BEGIN}{END}b\n");
        let text = updated(&text, &rows).unwrap();
        insta::assert_snapshot!(text, @"
        a
        <!-- kernels: written by `cargo xtask test --vm --write-table` -->
        | Linux | x86_64 | aarch64 |
        |---|---|---|
        | 5.10 | refused, with the reason |  |
        | 6.1 | 139 tests passed, 1 skipped (6.1.0-50) | 120 tests passed, 1 failed, 3 skipped (6.1.0-50) |
        | 6.12 | 140 tests passed (6.12.1) |  |
        | 6.12, lockdown | refused, with the reason |  |
        <!-- end of kernels -->
        b
        ");
        // Of one kernel alone: the others keep what they have.
        let one = [row("aarch64-6.12", "aarch64 6.12.2", [121, 0, 0], None)];
        let with = text.replace(
            "| 6.12 | 140 tests passed (6.12.1) |  |",
            "| 6.12 | 140 tests passed (6.12.1) | 121 tests passed (6.12.2) |",
        );
        assert_eq!(updated(&text, &one), Some(with));
        assert_eq!(updated("a\n", &one), None);
    }
}
