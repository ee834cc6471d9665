use super::*;
use crate::live::model::First;

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn named(name: &str) -> Update {
    let facts = Facts { name: name.into(), id: "4f".into(), engine: "docker".into(), ..Facts::default() };
    Update::Container(1, facts)
}

fn call(abi: Abi, number: u32, milliseconds: i64, comm: &str, origin: Origin) -> Update {
    let first = First { time: Timestamp::from_millisecond(milliseconds).unwrap(), comm: comm.into() };
    Update::Seen { id: 1, syscall: (abi, number), first: Some(first), origin: Some(origin) }
}

fn denial(comm: &str) -> Update {
    denial_by(comm, false, false)
}

fn denial_by(comm: &str, own_filter: bool, supervised: bool) -> Update {
    let first_seen = Timestamp::from_millisecond(1500).unwrap();
    let (name, comm) = (Some("mkdir".to_owned()), comm.to_owned());
    let action = FilterAction::Errno(1);
    Update::Denied(
        1,
        Abi::X86_64,
        Denial { number: 83, name, action, own_filter, supervised, count: 1, first_seen, comm },
    )
}

fn told(format: LineFormat, updates: Vec<Update>) -> Vec<String> {
    let mut model = Model::new(START);
    let lines = updates.into_iter().flat_map(|update| lines(&mut model, update)).collect::<Vec<_>>();
    lines.iter().filter_map(|line| line.format(format, START)).collect()
}

#[test]
fn each_sighting_and_each_denial_is_one_line() {
    let updates = vec![
        named("web"),
        call(Abi::X86_64, 59, 12, "nginx", Origin::Application),
        call(Abi::X86_64, 59, 13, "nginx", Origin::Application),
        call(Abi::I386, 3, 20, "runc", Origin::Runtime),
        denial("nginx"),
        denial("nginx"),
    ];
    assert_eq!(
        told(LineFormat::Text, updates),
        [
            "    0.012s  web  execve  by nginx",
            "    0.020s  web  i386 read  by runc (runtime)",
            "    1.500s  web  DENIED mkdir (EPERM)  by nginx",
        ]
    );
}

#[test]
fn who_has_answered_is_said() {
    let all = [(false, true), (true, false), (true, true)];
    let updates = [named("web")].into_iter().chain(all.map(|(own, asks)| denial_by("sh", own, asks)));
    assert_eq!(
        told(LineFormat::Text, updates.collect()),
        [
            "    1.500s  web  ANSWERED mkdir (EPERM, by a supervisor of its engine)  by sh",
            "    1.500s  web  DENIED mkdir (EPERM, by its own filter)  by sh",
            "    1.500s  web  ANSWERED mkdir (EPERM, by its own supervisor or tracer)  by sh",
        ]
    );
}

#[test]
fn what_has_no_name_yet_waits_for_it_and_what_nobody_asked_for_is_never_told() {
    let sighting = call(Abi::X86_64, 59, 12, "nginx", Origin::Application);
    assert_eq!(told(LineFormat::Text, vec![sighting.clone(), Update::Discarded(1)]), [""; 0]);
    let later = call(Abi::X86_64, 0, 9, "runc", Origin::Runtime);
    assert_eq!(
        told(LineFormat::Text, vec![sighting, denial("nginx"), later, named("web"), named("web")]),
        [
            "    0.009s  web  read  by runc (runtime)",
            "    0.012s  web  execve  by nginx",
            "    1.500s  web  DENIED mkdir (EPERM)  by nginx",
        ]
    );
}

#[test]
fn json_is_one_object_a_line_that_no_terminal_obeys() {
    let hostile = "\u{1b}[2J\n\u{9b}1m\u{202e}猫";
    let lines = told(
        LineFormat::Json,
        vec![named(hostile), call(Abi::X86_64, 59, 12, hostile, Origin::Joined), denial(hostile)],
    );
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert!(line.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{line}");
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["container"], hostile);
    }
    let value: serde_json::Value = serde_json::from_str(&lines[2]).unwrap();
    assert_eq!(value["action"], serde_json::json!({"errno": 1}));
}

#[test]
fn text_lines_show_what_a_terminal_would_obey() {
    let updates = vec![named("a\u{1b}[2J"), call(Abi::X86_64, 59, 12, "x\ny", Origin::Application)];
    assert_eq!(told(LineFormat::Text, updates), ["    0.012s  a\\u{1b}[2J  execve  by x\\u{a}y"]);
}
