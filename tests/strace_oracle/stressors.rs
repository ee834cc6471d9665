//! The stressors of stress-ng: which there are, how each is run, and which are not.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Debian's, and its package.
const STRESS_NG: &str = "/usr/bin/stress-ng";
/// The package that it is in.
pub const PACKAGE: &str = "stress-ng";

/// Those that do nothing without root, and harm nobody in namespaces of their own. All others run as nobody.
const AS_ROOT: [&str; 20] = [
    "apparmor",
    "bind-mount",
    "binderfs",
    "chroot",
    "cyclic",
    "fanotify",
    "icmp-flood",
    "idle-page",
    "kvm",
    "netlink-proc",
    "netlink-task",
    "quota",
    "ramfs",
    "rawpkt",
    "rawsock",
    "rawudp",
    "seccomp",
    "tun",
    "umount",
    "userfaultfd",
];

/// Those that no namespace holds, and that root would let loose on the machine; and those that never end.
const NOT_RUN: [(&str, &str); 12] = [
    ("cpu-online", "switches the machine's processors off and on"),
    ("klog", "works on the machine's kernel log"),
    ("loop", "takes the machine's loop devices"),
    ("memhotplug", "takes memory away from the machine"),
    ("physpage", "changes the machine's memory type ranges (/proc/mtrr)"),
    ("rawdev", "reads the machine's disk past its file system"),
    ("smi", "calls the machine's firmware, which stops all processors"),
    ("softlockup", "keeps all processors busy at the highest priority"),
    ("swap", "adds swap space to the machine"),
    ("uprobe", "adds probes to the machine's tracing"),
    ("vm-segv", "does not end while it is traced by ptrace, with or without seccomp-trace"),
    ("watchdog", "arms the machine's watchdog, which restarts it"),
];

/// Options beyond the common ones: what is more than the sandbox and [`LIMITS`] have room for.
const OPTIONS: [(&str, &str); 3] =
    [("iomix", "--iomix-bytes=64m"), ("stream", "--stream-l3-size=4m"), ("timerfd", "--timerfd-fds=256")];

/// Bounds what one takes of the machine: memory, processes, files.
const LIMITS: [&str; 4] = ["prlimit", "--as=4000000000", "--nproc=500", "--nofile=1024"];

/// Their names, as stress-ng lists them.
pub fn all() -> Result<Vec<String>> {
    let output = Command::new(STRESS_NG).arg("--stressors").output();
    let output = output.with_context(|| format!("cannot start {STRESS_NG} (Debian's package: {PACKAGE})"))?;
    let names: Vec<_> =
        String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect();
    ensure!(names.len() > 200, "`{STRESS_NG} --stressors` lists {names:?}");
    Ok(names)
}

/// Why a stressor is never run, for one that isn't.
pub fn not_run(name: &str) -> Option<&'static str> {
    NOT_RUN.iter().find(|(its, _)| *its == name).map(|(_, why)| *why)
}

/// As whom one is run.
pub fn user(name: &str) -> &'static str {
    if AS_ROOT.contains(&name) { "root" } else { "nobody" }
}

/// The command that runs one for a second.
pub fn argv(name: &str) -> Vec<String> {
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let user = nobody.iter().filter(|_| user(name) == "nobody");
    let stressor = [format!("--{name}"), "1".to_owned()];
    let common = ["--timeout=1", "--pathological", "--temp-path=."];
    let options = OPTIONS.iter().filter(|(its, _)| *its == name).map(|(_, option)| option);
    let words = user.chain(&LIMITS).chain([&STRESS_NG]).map(|word| (*word).to_owned());
    words.chain(stressor).chain(common.iter().chain(options).map(|word| (*word).to_owned())).collect()
}

/// Why stress-ng says that it could not run one here, if it says so.
pub fn skipped(name: &str, output: &str) -> Option<String> {
    let says = |words: &'static [&'static str]| {
        output
            .lines()
            .find(move |line| line.starts_with("stress-ng: ") && words.iter().any(|word| line.contains(word)))
    };
    let skipped = says(&["skipping stress", "skipping this stress", "will be skipped", "not skipping"]);
    let line = skipped.or_else(|| {
        let failed = says(&["out of system resources", "No stress workers invoked", "unsuccessful run"])?;
        says(&["fail: ", "cannot "]).or(Some(failed))
    })?;
    let (_, reason) = line.split_once("] ").unwrap_or_default();
    let own = [name.to_owned(), name.replace('-', "_")];
    let own = own.iter().find_map(|own| reason.trim().strip_prefix(own.as_str()));
    let reason = own.unwrap_or(reason).trim_start_matches(':').trim();
    let reason = reason.replace("stressor will be skipped, ", "").replace(", skipping stressor", "");
    Some(reason.replace(", skipping stress test", "").replace("skipping stressor, ", ""))
}
