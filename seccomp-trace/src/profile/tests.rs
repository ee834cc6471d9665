//! The profile of recordings: small recordings, and the algebra of their union.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::recording::{
    Boundary, BoundaryMethod, Container, Denial, FilterAction, Host, Kind, Lost, Origin, Recording, Syscall,
    Target, Tool,
};

const EXACT: Options =
    Options { runtimes: Runtimes::Exact, exclude_joined: false, allow_denied: false, portable: false };
const ALL: Options =
    Options { runtimes: Runtimes::All, exclude_joined: false, allow_denied: false, portable: false };

/// A good recording of a container named `web`, of these calls.
fn recording(calls: &[(Abi, &str, Origin)]) -> Recording {
    let mut syscalls: BTreeMap<Abi, Vec<Syscall>> = BTreeMap::new();
    for (abi, name, origin) in calls {
        let number = abi.number(name).unwrap();
        syscalls.entry(*abi).or_default().push(syscall(number, Some(name), *origin));
    }
    Recording {
        kind: Kind::Recording,
        version: crate::recording::VERSION,
        tool: Tool { name: "seccomp-trace".into(), version: "0.1.0".into() },
        host: Host { kernel: "6.18.0".into(), architecture: "x86_64".into() },
        target: Target::Container(Container { name: "web".into(), ..Container::default() }),
        start: jiff::Timestamp::UNIX_EPOCH,
        end: jiff::Timestamp::UNIX_EPOCH,
        finished: true,
        boundary: Boundary { method: BoundaryMethod::Filter, attached_late: false },
        syscalls,
        denied: None,
        filter: None,
        lost: Lost::default(),
        warnings: Vec::new(),
    }
}

fn syscall(number: u32, name: Option<&str>, origin: Origin) -> Syscall {
    let name = name.map(str::to_owned);
    Syscall { number, name, first_seen: None, comm: None, origins: vec![origin], containers: None }
}

fn application(abi: Abi, names: &[&'static str]) -> Recording {
    recording(&names.iter().map(|name| (abi, *name, Origin::Application)).collect::<Vec<_>>())
}

fn built(recordings: &[Recording], options: &Options) -> Profile {
    build(recordings, options).unwrap().0
}

fn warned(recordings: &[Recording], options: &Options) -> Vec<(String, String)> {
    let (_, warnings) = build(recordings, options).unwrap();
    // True of almost all.
    let others = warnings.into_iter().filter(|its| its.code != crate::recording::VDSO);
    others.map(|its| (its.code, its.message)).collect()
}

fn names(profile: &Profile) -> String {
    profile.allowed.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn exact_is_what_was_seen_and_what_depends_on_the_moment() {
    let profile = built(&[application(Abi::X86_64, &["read", "accept4"])], &EXACT);
    insta::assert_snapshot!(names(&profile), @"accept4 epoll_create1 epoll_ctl epoll_pwait eventfd2 execve exit exit_group futex getpid madvise mmap nanosleep pipe2 read restart_syscall rt_sigreturn sched_yield tgkill");
    assert_eq!(profile.architectures, [Abi::X86_64].into());
    assert_eq!((profile.default_errno, profile.errno.len()), (EPERM, 0));
}

/// With what filters denied besides: a name, an answer, and whether it may be the program's own filter's.
fn with_denials(mut recording: Recording, denials: &[(Abi, &str, FilterAction, bool)]) -> Recording {
    let denied = recording.denied.get_or_insert_default();
    for (abi, name, action, own_filter) in denials {
        let denial = Denial {
            number: abi.number(name).unwrap(),
            name: Some((*name).to_owned()),
            action: *action,
            own_filter: *own_filter,
            supervised: false,
            count: 1,
            first_seen: jiff::Timestamp::UNIX_EPOCH,
            comm: "web".into(),
        };
        crate::recording::denial::add(denied, *abi, denial);
    }
    recording
}

#[test]
fn what_was_denied_stays_denied_or_is_let_in() {
    use FilterAction::{Errno, Kill};
    let denials = [
        (Abi::X86_64, "mkdir", Errno(1), false),
        (Abi::X86_64, "rmdir", Errno(13), false),
        // In two recordings, say: ENOSYS is what a fallback depends on.
        (Abi::X86_64, "statx", Errno(1), false),
        (Abi::X86_64, "statx", Errno(38), false),
        (Abi::X86_64, "reboot", Kill, false),
        (Abi::X86_64, "ptrace", Errno(1), true),
        // Allowed for other arguments.
        (Abi::X86_64, "socket", Errno(1), false),
        (Abi::I386, "getuid32", Kill, false),
    ];
    let recording = with_denials(application(Abi::X86_64, &["read", "socket"]), &denials);
    let recordings = std::slice::from_ref(&recording);
    let profile = built(recordings, &EXACT);
    let errnos: Vec<_> = profile.errno.iter().map(|(name, (errno, _))| (name.as_str(), *errno)).collect();
    // What the default does needs no rule, and older runtimes refuse it.
    assert_eq!(errnos, [("rmdir", 13), ("statx", 38)]);
    assert!(["reboot", "ptrace", "getuid32"].iter().all(|name| !profile.allowed.contains_key(*name)));
    assert_eq!(profile.architectures, [Abi::X86_64].into());
    insta::assert_snapshot!(
        warned(recordings, &EXACT)
            .into_iter()
            .map(|(code, message)| format!("{code}: {message}"))
            .collect::<Vec<_>>()
            .join("\n")
    );

    let allowed = built(recordings, &Options { allow_denied: true, ..EXACT });
    assert!(
        ["mkdir", "rmdir", "statx", "reboot", "getuid32"]
            .iter()
            .all(|name| allowed.allowed.contains_key(*name))
    );
    assert!(allowed.errno.is_empty() && !allowed.allowed.contains_key("ptrace"));
    // Else it would be killed again.
    assert_eq!(allowed.architectures, [Abi::X86_64, Abi::I386].into());
}

#[test]
fn what_the_programs_own_supervisor_answers_is_allowed_and_its_engines_is_not() {
    let mut recording = with_denials(
        application(Abi::X86_64, &["read"]),
        &[
            (Abi::X86_64, "mkdir", FilterAction::ReturnValue, true),
            (Abi::X86_64, "mount", FilterAction::ReturnValue, false),
        ],
    );
    recording
        .denied
        .iter_mut()
        .flat_map(BTreeMap::values_mut)
        .flatten()
        .for_each(|its| its.supervised = true);
    let recordings = [recording];
    let profile = built(&recordings, &EXACT);
    assert_eq!(profile.allowed["mkdir"], [Reason::Supervised].into());
    assert!(!profile.allowed.contains_key("mount") && profile.errno.is_empty());
    assert!(!built(&recordings, &Options { allow_denied: true, ..EXACT }).allowed.contains_key("mount"));
    let said: Vec<_> = warned(&recordings, &EXACT).into_iter().map(|(code, _)| code).collect();
    assert_eq!(said, ["answered-by-engine", "answered-by-supervisor"]);
}

/// Each with what is really so: for some arguments, of an architecture, under another recording's profile; and clone3 with none.
#[test]
fn why_a_denied_call_is_allowed_or_not_is_told_apart() {
    use FilterAction::{Errno, Kill};
    let mut web = with_denials(
        application(Abi::X86_64, &["read", "socket", "clone"]),
        &[
            (Abi::X86_64, "socket", Errno(1), false),
            (Abi::X86_64, "clone3", Errno(38), false),
            (Abi::X86_64, "mkdir", Errno(13), false),
            (Abi::I386, "read", Kill, false),
        ],
    );
    let other = application(Abi::X86_64, &["mkdir"]);
    let said = |recordings: &[Recording]| {
        let said = warned(recordings, &EXACT).into_iter().find(|(code, _)| code == "stays-denied");
        said.map(|(_, message)| message).unwrap_or_default()
    };
    insta::assert_snapshot!(said(&[web.clone(), other]), @"denied as calls of an architecture that the profile does not list, so that they kill: i386 read (killed); --allow-denied lists it; denied for some arguments, and allowed for all, as no rule here has arguments: socket (EPERM); denied by the profile of one recording, and allowed by this one for another reason: mkdir (EACCES, in web)");
    assert!(
        said(&[web.clone()])
            .contains("what was denied stays denied: mkdir (EACCES); --allow-denied lets it in")
    );
    web.denied
        .iter_mut()
        .flat_map(BTreeMap::values_mut)
        .for_each(|all| all.retain(|its| its.name.as_deref() == Some("clone3")));
    assert_eq!(said(&[web]), "");
}

#[test]
fn x32_is_listed_where_a_number_is_taken_for_it_and_that_is_over_allowed() {
    let with = |number: u32| {
        let mut recording = application(Abi::X86_64, &["read"]);
        let calls = recording.syscalls.get_mut(&Abi::X86_64).unwrap();
        calls.push(syscall(number, None, Origin::Application));
        built(&[recording], &EXACT)
    };
    for number in [0x4000_0000, 0x8000_0000, u32::MAX - 1] {
        let profile = with(number);
        assert_eq!(profile.architectures, [Abi::X86_64, Abi::X32].into(), "{number:x}");
        assert!(profile.over_allowed[&Abi::X32].contains("read"));
    }
    for number in [500, 1000, 0x3fff_ffff, u32::MAX] {
        assert_eq!(with(number).architectures, [Abi::X86_64].into(), "{number:x}");
    }
    // Answered while it was recorded, it must not kill from now on.
    let mut denied = with_denials(
        application(Abi::X86_64, &["read"]),
        &[(Abi::X86_64, "mkdir", FilterAction::Errno(1), false)],
    );
    denied
        .denied
        .iter_mut()
        .flat_map(BTreeMap::values_mut)
        .flatten()
        .for_each(|its| its.number = u32::MAX - 1);
    assert!(built(&[denied], &EXACT).architectures.contains(&Abi::X32));
}

#[test]
fn a_start_that_fails_under_a_profile_is_said_first() {
    let failed = with_denials(
        recording(&[(Abi::X86_64, "openat", Origin::Runtime)]),
        &[(Abi::X86_64, "getdents64", FilterAction::Errno(1), false)],
    );
    let error = build(&[failed], &ALL).unwrap_err();
    insta::assert_snapshot!(error, @r#"no profile was made: the start failed, as the profile in force denied getdents64 (EPERM): no syscall of an application was seen in "web", and a profile of nothing would deny everything; record it again, under the profile that `seccomp-trace tracing-profile` prints"#);
}

#[test]
fn what_only_joined_processes_made_can_be_left_out() {
    use Origin::{Application, Joined, Runtime};
    let mut both = recording(&[
        (Abi::X86_64, "read", Application),
        (Abi::X86_64, "capset", Runtime),
        (Abi::X86_64, "mkdir", Joined),
        (Abi::X86_64, "chmod", Joined),
        (Abi::X86_64, "setgroups", Joined),
        (Abi::X86_64, "io_uring_setup", Joined),
        (Abi::I386, "umask", Joined),
    ]);
    let calls = both.syscalls.get_mut(&Abi::X86_64).unwrap();
    calls[3].origins = vec![Application, Joined];
    calls[4].origins = vec![Runtime, Joined];
    calls.push(Syscall { name: None, ..syscall(9999, None, Joined) });
    let without = Options { exclude_joined: true, ..EXACT };

    let all = built(&[both.clone()], &EXACT);
    let joined = ["mkdir", "io_uring_setup", "umask"];
    let others = ["read", "capset", "chmod", "setgroups"];
    assert!(joined.iter().chain(&others).all(|name| all.allowed.contains_key(*name)), "{}", names(&all));
    assert_eq!(all.architectures.len(), 2);

    let some = built(&[both.clone()], &without);
    assert!(!joined.iter().any(|name| some.allowed.contains_key(*name)), "{}", names(&some));
    assert!(others.iter().all(|name| some.allowed.contains_key(*name)), "{}", names(&some));
    // The reasons are those for which it is in; the architecture was the joined ones' alone.
    assert_eq!(some.allowed["chmod"], [Reason::Seen(Application)].into());
    assert_eq!(some.architectures, [Abi::X86_64].into());
    // Nothing is warned about that is not in.
    assert_eq!(warned(&[both.clone()], &without), []);
    let codes: Vec<_> = warned(&[both.clone()], &EXACT).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["io-uring", "unknown-syscalls", "over-allowed"]);

    // What another recording has of the service stays.
    let other = application(Abi::X86_64, &["mkdir"]);
    assert!(built(&[both, other], &without).allowed.contains_key("mkdir"));
}

#[test]
fn exact_adds_its_own_runtimes_start_where_no_recording_can_have_it() {
    let mut unconfined = application(Abi::X86_64, &["read"]);
    unconfined.boundary.method = BoundaryMethod::Estimated;
    if let Target::Container(container) = &mut unconfined.target {
        container.runtime = Some("crun".into());
    }
    let of_crun =
        built(&[unconfined.clone()], &Options { runtimes: Runtimes::Named(vec!["crun".into()]), ..ALL });
    assert_eq!(names(&built(&[unconfined.clone()], &EXACT)), names(&of_crun));
    assert!(of_crun.allowed.contains_key("setresgid") && !of_crun.allowed.contains_key("capget"));
    unconfined.target = Target::Command { argv: vec!["true".into()] };
    assert!(!built(&[unconfined], &EXACT).allowed.contains_key("setresgid"));
}

#[test]
fn all_adds_every_runtimes_start_with_its_reason() {
    let profile = built(&[application(Abi::X86_64, &["read", "accept4"])], &ALL);
    let sets = crate::tables::runtimes::sets().iter().flat_map(|set| set.calls.keys());
    let exact = built(&[application(Abi::X86_64, &["read", "accept4"])], &EXACT);
    let expected: BTreeSet<_> = sets.chain(exact.allowed.keys()).collect();
    assert_eq!(profile.allowed.keys().collect::<BTreeSet<_>>(), expected);
    let reasons: Vec<_> = profile.allowed["setresuid"].iter().map(Reason::to_string).collect();
    assert!(reasons.iter().all(|reason| reason.starts_with("crun ")), "{reasons:?}");
    let reasons: Vec<_> = profile.allowed["read"].iter().map(Reason::to_string).collect();
    assert_eq!(reasons[0], "seen: made by the application");
    assert!(reasons.len() > 2);
}

#[test]
fn one_runtime_of_one_version_adds_its_own_calls_alone() {
    let recordings = [application(Abi::X86_64, &["read"])];
    let of =
        |name: &str| built(&recordings, &Options { runtimes: Runtimes::Named(vec![name.into()]), ..ALL });
    assert!(!of("runc-1.1.5").allowed.contains_key("statx"));
    assert!(of("runc-1.3.6").allowed.contains_key("statx"));
    assert!(of("runc").allowed.contains_key("statx"));
    assert!(!of("runc").allowed.contains_key("setresuid"));
    let unknown = Options { runtimes: Runtimes::Named(vec!["youki".into()]), ..ALL };
    let error = build(&recordings, &unknown).unwrap_err().to_string();
    assert!(error.contains(r#""youki""#) && error.contains("crun, crun-1.28"), "{error}");
}

#[test]
fn where_no_container_can_start_under_it_that_is_said() {
    let container = application(Abi::X86_64, &["read"]);
    let mut command = container.clone();
    command.target = Target::Command { argv: vec!["cat".into()] };
    command.boundary.method = BoundaryMethod::Exec;
    let warned = |recordings: &[Recording], options: &Options| {
        warned(recordings, options).into_iter().find(|(code, _)| code == "no-runtime")
    };
    let (_, message) = warned(&[command.clone(), command.clone()], &EXACT).unwrap();
    assert!(message.contains("no container starts") && message.contains("--runtimes runc"), "{message}");
    assert_eq!(warned(&[command.clone()], &ALL), None);
    assert_eq!(warned(&[command, container], &EXACT), None);
}

#[test]
fn a_boundary_that_nobody_saw_is_said() {
    let mut unseen = application(Abi::X86_64, &["read"]);
    unseen.boundary.method = BoundaryMethod::Unknown;
    let of = |recording: &Recording| warned(std::slice::from_ref(recording), &ALL);
    let has = |recording: &Recording| of(recording).iter().any(|(code, _)| code == "unknown-boundary");
    assert!(has(&unseen));
    // That says why already.
    unseen.boundary.attached_late = true;
    assert!(!has(&unseen));
}

#[test]
fn nothing_seen_gives_no_profile() {
    let nothing =
        recording(&[(Abi::X86_64, "read", Origin::Runtime), (Abi::X86_64, "write", Origin::Joined)]);
    let error = build(std::slice::from_ref(&nothing), &ALL).unwrap_err();
    insta::assert_snapshot!(error, @r#"no profile was made: no syscall of an application was seen in "web", and a profile of nothing would deny everything; record it again, and use it while it is recorded"#);
    assert!(build(&[], &ALL).unwrap_err().to_string().contains("no recording at all"));
    // What only a filter never asks about is nothing, too.
    assert!(build(&[application(Abi::X86_64, &["uretprobe"])], &ALL).is_err());
    let beside = warned(&[nothing, application(Abi::X86_64, &["read"])], &ALL);
    assert_eq!(beside[0].0, "nothing-seen");
}

#[test]
fn what_is_never_filtered_is_left_out() {
    let profile = built(&[application(Abi::X86_64, &["read", "uretprobe", "uprobe"])], &ALL);
    assert!(!names(&profile).contains("probe"));
}

#[test]
fn clone3_says_enosys_where_only_clone_was_seen() {
    let of = |names: &[&'static str]| built(&[application(Abi::X86_64, names)], &ALL).errno;
    let fallback = [("clone3".to_owned(), (ENOSYS, Reason::CloneFallback))].into();
    assert_eq!(of(&["clone"]), fallback);
    assert_eq!(of(&["clone", "clone3"]), BTreeMap::new());
    assert_eq!(of(&["clone3"]), BTreeMap::new());
    assert_eq!(of(&["fork"]), BTreeMap::new());
}

#[test]
fn the_architectures_are_those_seen_and_the_runtimes_own() {
    let of = |abi, options| built(&[application(abi, &["read"])], options).architectures;
    assert_eq!(of(Abi::X86_64, &ALL), [Abi::X86_64].into());
    assert_eq!(of(Abi::I386, &EXACT), [Abi::I386].into());
    // The runtime's calls after the filter is loaded are x86_64: without it no container starts.
    assert_eq!(of(Abi::I386, &ALL), [Abi::X86_64, Abi::I386].into());
    assert_eq!(of(Abi::X32, &ALL), [Abi::X86_64, Abi::X32].into());
}

#[test]
fn the_32_bit_spellings_are_in_only_beside_i386() {
    let has = |abi, name| built(&[application(abi, &["read"])], &ALL).allowed.contains_key(name);
    for name in ["sigreturn", "futex_time64"] {
        assert!(has(Abi::I386, name) && !has(Abi::X86_64, name) && !has(Abi::X32, name));
    }
}

#[test]
fn two_abis_say_what_they_lend_each_other() {
    let recordings = [recording(&[
        (Abi::X86_64, "read", Origin::Application),
        (Abi::X86_64, "mount", Origin::Application),
        (Abi::X86_64, "arch_prctl", Origin::Application),
        (Abi::I386, "read", Origin::Application),
        (Abi::I386, "socketcall", Origin::Application),
        (Abi::I386, "reboot", Origin::Application),
    ])];
    insta::assert_snapshot!(warned(&recordings, &EXACT)[0].1, @"a rule counts under every architecture listed (x86_64, i386), so calls that only another one needs are allowed too: 1 to x86_64: reboot; 2 to i386: arch_prctl, mount");
    // The runtimes' calls are x86_64's own, and lent to i386.
    let all = &warned(&recordings, &ALL)[0].1;
    assert!(all.contains(": 1 to x86_64: reboot; "), "{all}");
    assert!(
        all.contains(" to i386: arch_prctl, capget, ") && all.ends_with("(--verbose names them all)"),
        "{all}"
    );
    let lent = &built(&recordings, &EXACT).over_allowed;
    assert_eq!(lent[&Abi::I386], ["arch_prctl", "mount"].map(str::to_owned).into());
    assert_eq!(warned(&[application(Abi::X86_64, &["read"])], &ALL), []);
}

/// What libseccomp does with it, `tests/engines/over_allowed.rs` shows.
#[test]
fn a_call_lets_pass_what_stands_for_it_under_i386() {
    use Origin::Application;
    let both = |i386| {
        built(
            &[recording(&[
                (Abi::X86_64, "connect", Application),
                (Abi::X86_64, "semop", Application),
                (Abi::I386, i386, Application),
            ])],
            &EXACT,
        )
        .over_allowed
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(both("read")[&Abi::I386], names(&["connect", "ipc(semop)", "socketcall(connect)"]));
    // What stands for all is allowed whole, because i386 needs it; and where it needs the call itself, it is its own.
    assert_eq!(both("socketcall")[&Abi::I386], names(&["connect", "ipc(semop)"]));
    assert_eq!(both("connect")[&Abi::I386], names(&["ipc(semop)"]));
    assert_eq!(built(&[application(Abi::I386, &["connect"])], &EXACT).over_allowed, BTreeMap::new());
}

#[test]
fn a_number_without_a_name_is_reported_and_its_abi_listed() {
    let mut recording = application(Abi::X86_64, &["read"]);
    recording.syscalls.insert(Abi::I386, vec![syscall(600, None, Origin::Application)]);
    let numbers = recording.syscalls.get_mut(&Abi::X86_64).unwrap();
    numbers.push(syscall(999, Some("no good; name"), Origin::Application));
    numbers.push(syscall(1000, Some("from_the_future"), Origin::Application));
    let recordings = [recording];
    insta::assert_snapshot!(warned(&recordings, &EXACT)[0].1, @"web: numbers without a name are called, which no rule can allow: x86_64 999, i386 600; update seccomp-trace where the kernel has such calls; where it has none they fail with ENOSYS, and under a profile with that (runc) or EPERM (crun)");
    let profile = built(&recordings, &EXACT);
    assert!(profile.allowed.contains_key("from_the_future"));
    assert_eq!(profile.architectures, [Abi::X86_64, Abi::I386].into());
}

#[test]
fn what_a_recording_lacks_is_said_with_its_name() {
    let mut bad = application(Abi::X86_64, &["read", "io_uring_setup"]);
    bad.lost = Lost { events: 3, syscalls: 2, task_origins: 1, denials: 0, missed_runs: 0 };
    bad.boundary = Boundary { method: BoundaryMethod::Estimated, attached_late: true };
    bad.finished = false;
    bad.warn("attached-late", "attached 4 s late");
    bad.warn("own", "its own");
    let text: Vec<_> = warned(&[bad.clone(), bad], &ALL)
        .into_iter()
        .map(|(code, message)| format!("{code}: {message}"))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn portable_adds_what_stands_for_what_is_allowed_with_its_reason() {
    let portable =
        |abi, names: &[&'static str]| built(&[application(abi, names)], &Options { portable: true, ..EXACT });
    let read = portable(Abi::X86_64, &["read", "openat", "newfstatat", "faccessat2"]);
    for name in ["openat2", "open", "statx", "stat", "access", "readv", "clock_gettime", "time", "getcpu"] {
        let [Reason::Portable(_)] = read.allowed[name].iter().collect::<Vec<_>>()[..] else {
            panic!("{name}: {:?}", read.allowed[name])
        };
    }
    let reason = read.allowed["openat2"].first().unwrap().to_string();
    assert!(reason.starts_with("portable: a file is opened by open (musl)"), "{reason}");
    // Only of what is allowed, and only what an ABI of the profile has.
    for name in ["writev", "mkdir", "clone3", "clock_gettime64", "stat64"] {
        assert!(!read.allowed.contains_key(name), "{name}");
    }
    assert!(portable(Abi::I386, &["read"]).allowed.contains_key("clock_gettime64"));
    // Nothing needs to fall back.
    let clone = portable(Abi::X86_64, &["clone"]);
    assert!(clone.allowed.contains_key("clone3") && clone.errno.is_empty());
    let plain = built(&[application(Abi::X86_64, &["clone"])], &EXACT);
    assert!(!plain.allowed.contains_key("clone3") && !plain.allowed.contains_key("clock_gettime"));
}

#[test]
fn what_the_vdso_hides_is_said_once_where_nothing_is_done_about_it() {
    let recordings = [application(Abi::X86_64, &["read"]), application(Abi::X86_64, &["write"])];
    let said =
        |options| build(&recordings, options).unwrap().1.iter().filter(|its| its.code == "vdso").count();
    assert_eq!((said(&EXACT), said(&Options { portable: true, ..EXACT })), (1, 0));
}

/// Any recording with at least one call of the application.
fn any_recording() -> impl Strategy<Value = Recording> {
    let origin = prop_oneof![Just(Origin::Runtime), Just(Origin::Application), Just(Origin::Joined)];
    let abi = prop_oneof![Just(Abi::X86_64), Just(Abi::I386), Just(Abi::X32)];
    (proptest::collection::vec((abi, 0_u32..560, origin), 0..20), any::<bool>()).prop_map(|(calls, late)| {
        let mut recording = application(Abi::X86_64, &["read"]);
        for (abi, number, origin) in calls {
            recording.syscalls.entry(abi).or_default().push(syscall(number, abi.name(number), origin));
        }
        recording.boundary.attached_late = late;
        recording
    })
}

fn any_options() -> impl Strategy<Value = Options> {
    prop_oneof![
        Just(EXACT),
        Just(ALL),
        Just(Options { runtimes: Runtimes::Named(vec!["runc".into()]), ..ALL }),
        Just(Options { portable: true, ..EXACT })
    ]
}

proptest! {
    #[test]
    fn order_and_repetition_change_nothing(a in any_recording(), b in any_recording(), o in any_options()) {
        let ab = build(&[a.clone(), b.clone()], &o).unwrap();
        prop_assert_eq!(&ab, &build(&[b.clone(), a.clone()], &o).unwrap());
        prop_assert_eq!(&ab, &build(&[a.clone(), b, a], &o).unwrap());
    }

    #[test]
    fn more_recordings_never_allow_less(a in any_recording(), b in any_recording(), o in any_options()) {
        let (one, both) = (built(std::slice::from_ref(&a), &o), built(&[a.clone(), b], &o));
        prop_assert!(both.architectures.is_superset(&one.architectures));
        for (name, reasons) in &one.allowed {
            // What is seen in the other one need not be added any more.
            let kept = reasons.iter().filter(|reason| !matches!(reason, Reason::Portable(_)));
            prop_assert!(both.allowed[name].is_superset(&kept.cloned().collect()));
        }
    }

    #[test]
    fn what_is_over_allowed_is_allowed_and_was_not_seen_there(a in any_recording(), o in any_options()) {
        let profile = built(std::slice::from_ref(&a), &o);
        for (abi, names) in &profile.over_allowed {
            prop_assert!(profile.architectures.contains(abi) && profile.architectures.len() > 1);
            let seen: BTreeSet<_> = a.syscalls.get(abi).into_iter().flatten().filter_map(|call| call.name.as_deref()).collect();
            for name in names {
                let rule = name.split_once('(').map_or(name.as_str(), |(_, rule)| rule.trim_end_matches(')'));
                prop_assert!(profile.allowed.contains_key(rule) && !seen.contains(rule), "{} {}", abi, name);
            }
        }
    }

    #[test]
    fn each_name_has_a_reason_and_an_abi_and_stands_once(a in any_recording(), o in any_options()) {
        let profile = built(&[a], &o);
        for (name, reasons) in &profile.allowed {
            prop_assert!(!reasons.is_empty() && !profile.errno.contains_key(name));
            prop_assert!(profile.architectures.iter().any(|abi| abi.number(name).is_some()));
        }
    }

    #[test]
    fn every_call_seen_is_allowed_or_said(a in any_recording(), o in any_options()) {
        let (profile, warnings) = build(std::slice::from_ref(&a), &o).unwrap();
        let names: BTreeSet<_> = profile.allowed.keys().map(String::as_str).collect();
        for (abi, syscalls) in &a.syscalls {
            prop_assert!(profile.architectures.contains(abi) || syscalls.is_empty());
            for syscall in syscalls {
                let is_said = || warnings.iter().any(|warning| warning.code == "unknown-syscalls");
                let is_uprobe = *abi == Abi::X86_64 && [335, 336].contains(&syscall.number);
                prop_assert!(syscall.name.as_deref().map_or_else(is_said, |name| names.contains(name)) || is_uprobe);
            }
        }
    }
}
