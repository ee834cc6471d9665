use proptest::prelude::*;

use super::super::{BoundaryMethod, Host, Kind, Origin, Pod, Tool};
use super::*;

fn container(name: &str) -> Container {
    Container {
        engine: "docker".into(),
        name: name.into(),
        id: format!("id of {name}"),
        ..Container::default()
    }
}

fn syscall(number: u32, origin: Origin, second: i64, comm: &str) -> Syscall {
    Syscall {
        number,
        name: Abi::X86_64.name(number).map(str::to_owned),
        first_seen: jiff::Timestamp::from_second(second).ok(),
        comm: Some(comm.to_owned()),
        origins: vec![origin],
        containers: None,
    }
}

fn recording(name: &str, start: i64, syscalls: Vec<Syscall>) -> Recording {
    Recording {
        kind: Kind::Recording,
        version: super::super::VERSION,
        tool: Tool { name: "seccomp-trace".into(), version: "0.1.0".into() },
        host: Host { kernel: "6.18.0".into(), architecture: "x86_64".into() },
        target: Target::Container(container(name)),
        start: jiff::Timestamp::from_second(start).unwrap(),
        end: jiff::Timestamp::from_second(start + 10).unwrap(),
        finished: true,
        boundary: Boundary { method: BoundaryMethod::Filter, attached_late: false },
        syscalls: [(Abi::X86_64, syscalls)].into(),
        denied: None,
        filter: None,
        lost: Lost::default(),
        warnings: Vec::new(),
    }
}

fn image() -> Group {
    Group { by: GroupBy::Image, engine: None, name: "nginx".into() }
}

fn counts(recording: &Recording) -> Vec<(u32, Option<u32>)> {
    recording.syscalls.values().flatten().map(|syscall| (syscall.number, syscall.containers)).collect()
}

#[test]
fn replicas_are_one_recording_that_counts_them() {
    let one = recording(
        "a",
        5,
        vec![syscall(0, Origin::Application, 7, "late"), syscall(3, Origin::Joined, 6, "sh")],
    );
    let mut two = recording(
        "b",
        4,
        vec![syscall(0, Origin::Runtime, 6, "early"), syscall(1, Origin::Application, 8, "x")],
    );
    two.lost.events = 2;
    two.warn("estimated", "its boundary");
    let united = image().merge(vec![one, two]).unwrap();
    assert_eq!(counts(&united), [(0, Some(2)), (1, Some(1)), (3, Some(1))]);
    let both = &united.syscalls[&Abi::X86_64][0];
    assert_eq!(
        (both.comm.as_deref(), both.origins.as_slice()),
        (Some("early"), [Origin::Runtime, Origin::Application].as_slice())
    );
    assert_eq!((united.start.as_second(), united.end.as_second()), (4, 15));
    assert_eq!((united.title().as_ref(), united.lost.events, united.warnings.len()), ("nginx", 2, 1));
    let names: Vec<_> = united.target.containers().iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn one_container_by_its_name_stays_as_it_is() {
    let group = GroupBy::Container.group(&container("web"));
    let one = recording("web", 1, vec![syscall(0, Origin::Application, 7, "x")]);
    assert_eq!(group.merge(vec![one.clone()]), Some(one.clone()));
    assert_eq!(group.merge(Vec::new()), None);
    let again = group.merge(vec![one.clone(), recording("web", 20, Vec::new())]).unwrap();
    assert_eq!((again.title().as_ref(), again.target.containers().len()), ("web", 2));
}

#[test]
fn a_whole_life_makes_up_for_a_late_one_of_the_same_name_alone() {
    let late = Boundary { method: BoundaryMethod::Unknown, attached_late: true };
    let mut first = recording("web", 1, Vec::new());
    first.boundary = late;
    let both = || vec![first.clone(), recording("web", 2, Vec::new())];
    let whole = Boundary { method: BoundaryMethod::Filter, attached_late: false };
    assert_eq!(GroupBy::Container.group(&container("web")).merge(both()).unwrap().boundary, whole);
    assert_eq!(image().merge(both()).unwrap().boundary, late);
    let mut of_another_image = both();
    if let Target::Container(container) = &mut of_another_image[1].target {
        container.image_digest = Some("sha256:other".into());
    }
    assert_eq!(GroupBy::Container.group(&container("web")).merge(of_another_image).unwrap().boundary, late);
    let estimated = Boundary { method: BoundaryMethod::Estimated, attached_late: false };
    assert_eq!(whole.merge_restarts(estimated), estimated);
}

#[test]
fn what_a_container_is_recorded_with() {
    let mut web = container("web");
    let name = |by: GroupBy, container: &Container| {
        let group = by.group(container);
        (group.by, group.name)
    };
    for by in [GroupBy::Container, GroupBy::Image, GroupBy::Service, GroupBy::Pod] {
        assert_eq!(name(by, &web), (GroupBy::Container, "web".to_owned()));
    }
    web.image = Some("nginx:1.27".into());
    web.pod = Some(Pod { namespace: Some("shop".into()), name: "front".into() });
    web.labels.insert("com.docker.compose.service".into(), "frontend".into());
    assert_eq!(name(GroupBy::Service, &web).1, "frontend");
    web.labels.insert("com.docker.compose.project".into(), "shop".into());
    assert_eq!(name(GroupBy::Image, &web), (GroupBy::Image, "nginx:1.27".to_owned()));
    assert_eq!(name(GroupBy::Service, &web), (GroupBy::Service, "shop/frontend".to_owned()));
    assert_eq!(name(GroupBy::Pod, &web), (GroupBy::Pod, "shop/front".to_owned()));
    assert_eq!(name(GroupBy::Container, &web), (GroupBy::Container, "shop/front/web".to_owned()));
    for same in ["docker.io/library/nginx:1.27", "library/nginx:1.27"] {
        web.image = Some(same.into());
        assert_eq!(name(GroupBy::Image, &web).1, "nginx:1.27");
    }
    web.image = Some("docker.io/library/nginx:latest".into());
    assert_eq!(name(GroupBy::Image, &web).1, "nginx");
    // The same name is another container in another engine; the same image is not another one.
    let podmans = Container { engine: "podman".into(), ..web.clone() };
    assert_ne!(GroupBy::Container.group(&web), GroupBy::Container.group(&podmans));
    assert_eq!(GroupBy::Image.group(&web), GroupBy::Image.group(&podmans));
}

fn any_recording() -> impl Strategy<Value = Recording> {
    let calls = proptest::collection::btree_map(0_u32..6, 0_i64..9, 0..5);
    (calls, 0_i64..5, any::<bool>()).prop_map(|(calls, start, attached_late)| {
        let calls = calls.into_iter().map(|(number, at)| syscall(number, Origin::Application, at, "x"));
        let mut recording = recording("web", start, calls.collect());
        recording.boundary.attached_late = attached_late;
        recording
    })
}

proptest! {
    #[test]
    fn the_order_is_no_matter_and_no_call_is_lost(
        mut recordings in proptest::collection::vec(any_recording(), 1..5),
    ) {
        let united = image().merge(recordings.clone()).unwrap();
        for recording in &recordings {
            for syscall in recording.syscalls.values().flatten() {
                prop_assert!(counts(&united).iter().any(|(number, _)| *number == syscall.number));
            }
        }
        let sum: u32 = counts(&united).iter().filter_map(|(_, count)| *count).sum();
        prop_assert_eq!(sum as usize, recordings.iter().map(|its| its.syscalls[&Abi::X86_64].len()).sum::<usize>());
        recordings.reverse();
        let other = image().merge(recordings.clone()).unwrap();
        prop_assert_eq!((&united.syscalls, united.boundary), (&other.syscalls, other.boundary));
        // In two steps as in one.
        let last = recordings.pop().unwrap();
        if let Some(most) = image().merge(recordings) {
            let stepwise = image().merge(vec![most, last]).unwrap();
            prop_assert_eq!((&united.syscalls, united.boundary), (&stepwise.syscalls, stepwise.boundary));
        }
    }
}
