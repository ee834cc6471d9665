//! The lines of `--watch-format json` are a promise, too: the committed schema is that of the types, and their document names
//! every field.

use std::fs;

use seccomp_trace::live::lines::Line;
use serde_json::Value;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/watch-format.schema.json");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/watch-format.md");

#[test]
fn the_committed_schema_of_the_lines_is_that_of_the_types() {
    let generated = serde_json::to_string_pretty(&schemars::schema_for!(Line)).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(SCHEMA, &generated).unwrap();
    }
    assert!(
        fs::read_to_string(SCHEMA).is_ok_and(|committed| committed == generated),
        "docs/watch-format.schema.json is not that of the types; \
         run: UPDATE_SCHEMA=1 cargo test -p seccomp-trace --test cli schema"
    );
}

#[test]
fn the_document_names_every_event_and_every_field_and_its_example_is_valid() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap();
    assert_eq!(kinds.len(), 4);
    for kind in kinds {
        let fields = kind["properties"].as_object().unwrap();
        let event = fields["event"]["const"].as_str().unwrap();
        assert!(document.contains(&format!("`{event}`")), "{event}");
        for field in fields.keys() {
            assert!(document.contains(&format!("`{field}`")), "{field} of {event}");
        }
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let examples: Vec<_> = document.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(examples.len(), 4, "one of each");
    for example in examples {
        assert!(validator.is_valid(&serde_json::from_str(example).unwrap()), "{example}");
    }
}
