//! What the README says of the cost is what `cargo xtask bench` measured last (docs/performance.json).

use std::fs;

use serde_json::Value;

const MEASURED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.json");
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

fn of<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_readme_has_what_was_measured_last() {
    let measured: Value = serde_json::from_str(&fs::read_to_string(MEASURED).unwrap()).unwrap();
    let readme = fs::read_to_string(README).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let calls = &measured["calls"];
    let median = |value: &Value| value["median"].as_f64().unwrap();
    let baseline = |name: &str| median(&of(calls, name)["to_baseline"]["times"]);
    let alone = |name: &str| median(&of(calls, name)["to_nothing"]);
    let session = |name: &str| median(&of(&measured["session"]["measured"], name)["value"]);
    let start = session("from the start until attached");
    let run = session("`run -- true`, more than `true`");
    let mut programs: Vec<f64> =
        measured["programs"].as_array().unwrap().iter().map(|program| median(&program["traced"])).collect();
    programs.sort_by(f64::total_cmp);
    for said in [
        format!("{:.2} times as long with `--no-denials`", baseline("--no-denials, traced")),
        format!("{:.2} times an empty pair under a filter", baseline("under a filter: traced")),
        format!("and {:.2} times without one", baseline("traced")),
        format!("{:.1} to {:.1} times the call alone", alone("under a filter: traced"), alone("traced")),
        format!("attached {start:.0} ms after its start"),
        format!("`run` takes {run:.0} ms more than its command"),
        format!(
            "Whole programs take {:.2} to {:.2} times as long",
            programs[0],
            programs[programs.len() - 1]
        ),
    ] {
        assert!(readme.contains(&said), "README.md does not say: {said}");
    }
    assert!(alone("--no-denials, traced, one of 10000 cgroups") < alone("--no-denials, traced") * 1.02);
    assert_eq!(measured["session"]["flood"]["missing"], 0);
    for tool in ["strace -f", "strace -f -c"] {
        assert!(median(&of(&measured["peers"], tool)["to_nothing"]) > 80.0, "{tool}");
    }
}
