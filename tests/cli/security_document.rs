//! docs/security.md says of each promise which tests hold it: there are such tests.

use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The names in brackets of a line of the page.
fn tests_of(line: &str) -> Vec<&str> {
    let (_, brackets) = line.rsplit_once('[').unwrap_or_default();
    let names = brackets.split(']').next().unwrap_or_default();
    names.split('`').filter(|name| name.contains('_')).collect()
}

#[test]
fn each_promise_names_tests_that_there_are() {
    let page = fs::read_to_string(format!("{ROOT}/docs/security.md")).unwrap();
    let mut all = String::new();
    ["kernel", "engines"]
        .iter()
        .for_each(|suite| sources(&Path::new(ROOT).join("tests").join(suite), &mut all));
    let mut promises = 0;
    for section in page.split("\n## ").filter(|section| section.starts_with("What a container can't do")) {
        for line in section.replace("\n  ", " ").lines().filter(|line| line.starts_with("- ")) {
            promises += 1;
            assert!(!tests_of(line).is_empty(), "no test holds this: {line}");
        }
    }
    assert!(promises >= 10, "the page has changed its form: {promises} promises");
    for name in page.replace('\n', " ").split(']').flat_map(|part| tests_of(part)) {
        assert!(all.contains(&format!("\"{name}\"")), "there is no test {name}");
    }
}
