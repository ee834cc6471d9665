//! Which facts are warned about, and that each is once.

use super::*;
use crate::recording::{Lost, Origin};

fn recording() -> Recording {
    Recording::parse(include_bytes!("../../../../tests/cli/fixtures/recording-v2.json")).unwrap()
}

/// A recording in which nothing is hidden.
fn good() -> Recording {
    let mut good = recording();
    (good.lost, good.warnings) = (Lost::default(), Vec::new());
    let calls = good.syscalls.get_mut(&crate::abi::Abi::X86_64).unwrap();
    calls.retain(|call| call.name_in(crate::abi::Abi::X86_64).is_some());
    let template = calls[0].clone();
    for (number, name) in crate::abi::Abi::X86_64.syscalls().filter(|(_, name)| VDSO_CALLS.contains(name)) {
        calls.push(crate::recording::Syscall { number, name: Some(name.to_owned()), ..template.clone() });
    }
    good.syscalls.retain(|abi, _| *abi == crate::abi::Abi::X86_64);
    good
}

fn codes(recording: &Recording) -> Vec<&str> {
    recording.warnings.iter().map(|its| its.code.as_str()).collect()
}

fn warned(mut recording: Recording) -> Recording {
    recording.warn_of_blind_spots();
    recording
}

/// Adds a call of the application's, or of a joined process'.
fn with(mut recording: Recording, name: &str, origin: Origin) -> Recording {
    let calls = recording.syscalls.get_mut(&crate::abi::Abi::X86_64).unwrap();
    let number = crate::abi::Abi::X86_64.number(name);
    let template = calls[0].clone();
    let name = number.map(|_| name.to_owned());
    calls.push(crate::recording::Syscall {
        number: number.unwrap_or(999),
        name,
        origins: vec![origin],
        ..template
    });
    recording
}

#[test]
fn where_nothing_is_hidden_nothing_is_said() {
    assert_eq!(codes(&warned(good())), [""; 0]);
}

#[test]
fn each_blind_spot_is_said_once_with_what_to_do() {
    let mut blind = good();
    for name in ["io_uring_enter", "io_uring_register", "no such call"] {
        blind = with(blind, name, Origin::Application);
    }
    blind
        .syscalls
        .get_mut(&crate::abi::Abi::X86_64)
        .unwrap()
        .retain(|call| call.name.as_deref() != Some("time"));
    blind.lost = Lost { events: 1, syscalls: 2, task_origins: 3, denials: 4, missed_runs: 5 };
    blind.boundary = Boundary { method: BoundaryMethod::Estimated, attached_late: true };
    let blind = warned(blind);
    let text: Vec<_> = blind.warnings.iter().map(|its| format!("{}: {}", its.code, its.message)).collect();
    insta::assert_snapshot!(text.join("\n"));
    assert_eq!(warned(blind.clone()), blind);
    let unknown = Boundary { method: BoundaryMethod::Unknown, attached_late: false };
    assert_eq!(codes(&warned(Recording { boundary: unknown, ..good() })), ["unknown-boundary"]);
}

#[test]
fn who_traced_it_knows_better_what_to_do_and_what_is_no_longer_so_is_not_said() {
    let mut late = good();
    late.warn("attached-late", "restart it so");
    late.warn("own", "its own");
    late.warn("lost-events", "7 events were lost");
    late.boundary.attached_late = true;
    let late = warned(late);
    assert_eq!(codes(&late), ["attached-late", "own"]);
    assert_eq!(late.warnings[0].message, "restart it so");
    let whole = Boundary { attached_late: false, ..late.boundary };
    assert_eq!(codes(&warned(Recording { boundary: whole, ..late })), ["own"]);
}

#[test]
fn what_joined_processes_alone_did_can_be_left_out() {
    let joined = with(with(good(), "io_uring_setup", Origin::Joined), "no such call", Origin::Joined);
    assert_eq!(codes(&warned(joined.clone())), ["io-uring", "unknown-syscalls"]);
    assert_eq!(codes(&warned(warned(joined).without_joined())), [""; 0]);
}

#[test]
fn every_code_is_in_the_formats_document() {
    let document = include_str!("../../../../docs/recording-format.md");
    for code in DERIVED.iter().chain(&["vsyscall", "unidentified-container"]) {
        assert!(document.contains(&format!("| `{code}` |")), "{code}");
    }
}
