//! The recording's format is a promise: the committed schema is that of the types, and a recording of
//! version 2 is read by every later version from the first release on.

use std::fs;

use seccomp_trace::abi::Abi;
use seccomp_trace::recording::{BoundaryMethod, Origin, Recording, Target};
use serde_json::Value;

use crate::fixture;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/recording.schema.json");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/recording-format.md");

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap()
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let generated = schemars::schema_for!(Recording);
    let generated = serde_json::to_string_pretty(&generated).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(SCHEMA, &generated).unwrap();
    }
    assert!(
        fs::read_to_string(SCHEMA).is_ok_and(|committed| committed == generated),
        "docs/recording.schema.json is not that of the types; \
         run: UPDATE_SCHEMA=1 cargo test -p seccomp-trace --test cli schema"
    );
}

#[test]
fn recording_of_version_1_is_refused_with_what_to_do() {
    let error = Recording::read(fixture("recording-v1.json").as_ref()).unwrap_err().to_string();
    assert!(error.contains("its version is 1") && error.ends_with("record again"), "{error}");
}

#[test]
fn recording_of_version_2_is_read_whole() {
    let path = fixture("recording-v2.json");
    let text = fs::read_to_string(&path).unwrap();
    let recording = Recording::read(path.as_ref()).unwrap();
    let Target::Container(container) = &recording.target else { panic!("{:?}", recording.target) };
    assert_eq!((container.name.as_str(), container.runtime.as_deref()), ("web", Some("runc")));
    assert_eq!(recording.boundary.method, BoundaryMethod::Filter);
    assert_eq!(recording.syscalls[&Abi::X86_64].len(), 10);
    assert_eq!(recording.syscalls[&Abi::I386][0].origins, [Origin::Joined]);
    assert_eq!((recording.lost.events, recording.is_incomplete()), (1, false));
    // Nothing in it is forgotten when it is written again.
    let [again, before] =
        [&recording.to_json(), &text].map(|text| serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(without_fractions_ends(again), without_fractions_ends(before));
}

/// The same moment has more than one spelling (`.5Z`, `.500Z`).
fn without_fractions_ends(value: Value) -> Value {
    match value {
        Value::String(text) => {
            Value::String(text.parse::<jiff::Timestamp>().map_or(text, |moment| moment.to_string()))
        }
        Value::Array(values) => Value::Array(values.into_iter().map(without_fractions_ends).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, its)| (key, without_fractions_ends(its))).collect())
        }
        other => other,
    }
}

#[test]
fn what_is_read_and_what_is_written_fits_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let recording = Recording::read(fixture("recording-v2.json").as_ref()).unwrap();
    let mut command = recording.clone();
    command.target = Target::Command { argv: vec!["sh".into(), "-c".into(), "true".into()] };
    command.boundary.method = BoundaryMethod::Exec;
    let mut cgroup = recording.clone();
    cgroup.target = Target::Cgroup { path: "/system.slice".into(), unit: None };
    cgroup.boundary.method = BoundaryMethod::Unknown;
    let mut unit = cgroup.clone();
    unit.target =
        Target::Cgroup { path: "/system.slice/web.service".into(), unit: Some("web.service".into()) };
    assert_eq!(unit.title(), "web.service");
    for json in [recording, command, cgroup, unit].map(|recording| recording.to_json()) {
        let value: Value = serde_json::from_str(&json).unwrap();
        if let Err(error) = validator.validate(&value) {
            panic!("{}: {error}", error.instance_path());
        }
        assert_eq!(Recording::parse(json.as_bytes()).unwrap().to_json(), json);
    }
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let good: Value =
        serde_json::from_str(&fs::read_to_string(fixture("recording-v2.json")).unwrap()).unwrap();
    for (pointer, wrong) in [
        ("/kind", Value::from("profile")),
        ("/version", Value::from("1")),
        ("/version", Value::from(1)),
        ("/version", Value::from(3)),
        ("/syscalls", serde_json::json!({ "vax": [] })),
        ("/target/type", Value::from("vm")),
        ("/boundary/method", Value::from("guess")),
        ("/syscalls/x86_64/0/number", Value::from(-1)),
        ("/syscalls/x86_64/0/origins/0", Value::from("host")),
        ("/lost", Value::Null),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&bad), "{pointer}");
        assert!(Recording::parse(bad.to_string().as_bytes()).is_err(), "{pointer}");
    }
}

#[test]
fn the_documents_example_is_a_recording() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let (_, rest) = document.split_once("```json\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    Recording::parse(example.as_bytes()).unwrap();
    jsonschema::validator_for(&schema()).unwrap().validate(&serde_json::from_str(example).unwrap()).unwrap();
    // Every field's name is explained or shown.
    for name in schema()["properties"].as_object().unwrap().keys() {
        assert!(document.contains(&format!("`{name}`")), "{name} is not in {DOCUMENT}");
    }
}
