//! The recording: the facts seen of one container, as one versioned JSON document
//! (docs/recording-format.md). It holds no policy: what a profile adds or leaves out is decided in
//! [`crate::profile`].

mod blind_spots;
pub mod builder;
pub mod denial;
pub mod file;
pub mod file_name;
mod merge;
mod read;

use std::{borrow::Cow, collections::BTreeMap, fmt};

pub use blind_spots::{VDSO, VDSO_CALLS};
pub use denial::{Denial, Denials, DeniedBy, FilterAction};
pub use merge::{Group, GroupBy};
pub use read::{ReadError, ReadProblem};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{abi::Abi, filter};

/// The version of the format that this program writes, and the only one that it reads.
pub const VERSION: u32 = 2;

/// The facts seen of one container, one cgroup or one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recording {
    /// Always `"recording"`: tells this document from a profile.
    pub kind: Kind,
    /// The version of this format: 2.
    #[schemars(extend("const" = 2))]
    pub version: u32,
    /// The program that wrote it.
    pub tool: Tool,
    /// The machine it ran on.
    pub host: Host,
    /// What was traced.
    pub target: Target,
    /// When tracing began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub start: Timestamp,
    /// When the last fact was added: a checkpoint's is that of the checkpoint.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub end: Timestamp,
    /// False in a checkpoint; true once the kernel's sets were read at the end.
    pub finished: bool,
    /// From where on a call counts, and how that was found.
    pub boundary: Boundary,
    /// The syscalls seen, by ABI, in the order of their numbers.
    #[schemars(extend("propertyNames" = { "enum": ["x86_64", "i386", "x32", "aarch64", "arm"] }))]
    pub syscalls: BTreeMap<Abi, Vec<Syscall>>,
    /// What filters denied, by ABI, in the order of the numbers; null where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("propertyNames" = { "enum": ["x86_64", "i386", "x32", "aarch64", "arm"] }))]
    pub denied: Option<Denials>,
    /// The seccomp filter that the application came with; missing where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// What was lost.
    pub lost: Lost,
    /// What a reader should know; each code stands at most once.
    pub warnings: Vec<Warning>,
}

/// The document's kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A recording.
    #[default]
    Recording,
}

/// The program that wrote a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `seccomp-trace`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The machine a recording was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// The machine's architecture, as `uname -m` prints it.
    pub architecture: String,
}

/// What was traced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "almost every one is a container")]
pub enum Target {
    /// A command started by `seccomp-trace run`.
    Command {
        /// The command and its arguments.
        argv: Vec<String>,
    },
    /// A cgroup without an engine.
    Cgroup {
        /// Its path below the cgroup v2 mount, from `/`.
        path: String,
        /// The systemd unit whose cgroup it is, where it was named by that.
        #[serde(default)]
        unit: Option<String>,
    },
    /// A container of an engine.
    Container(Container),
    /// Several containers that are recorded as one.
    Group {
        /// What they have in common.
        by: GroupBy,
        /// The name of it.
        name: String,
        /// All of them, the first one first.
        containers: Vec<Container>,
    },
}

impl Target {
    /// The containers that are recorded.
    #[must_use]
    pub fn containers(&self) -> &[Container] {
        match self {
            Self::Command { .. } | Self::Cgroup { .. } => &[],
            Self::Container(container) => std::slice::from_ref(container),
            Self::Group { containers, .. } => containers,
        }
    }

    fn into_containers(self) -> Vec<Container> {
        match self {
            Self::Command { .. } | Self::Cgroup { .. } => Vec::new(),
            Self::Container(container) => vec![container],
            Self::Group { containers, .. } => containers,
        }
    }

    /// What to call it: a container's or a group's name, a cgroup's path, a command.
    #[must_use]
    pub fn title(&self) -> Cow<'_, str> {
        match self {
            Self::Command { argv } => argv.first().map_or("command", String::as_str).into(),
            Self::Cgroup { path, unit } => unit.as_deref().unwrap_or(path).into(),
            Self::Container(container) => container.title(),
            Self::Group { name, .. } => name.into(),
        }
    }
}

/// A container, as its engine names it. Every string is the container's own: hostile until sanitised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// The engine: `docker`, `podman`, `containerd`.
    pub engine: String,
    /// The engine's version.
    pub engine_version: Option<String>,
    /// The low-level runtime: `runc`, `crun`.
    pub runtime: Option<String>,
    /// The runtime's version, where it can be asked.
    pub runtime_version: Option<String>,
    /// The container's name.
    pub name: String,
    /// The container's whole id; of containerd's own namespaces, where ids are names: `NAMESPACE/ID`.
    pub id: String,
    /// The image as the user named it.
    pub image: Option<String>,
    /// The image's digest or id (`sha256:…`).
    pub image_digest: Option<String>,
    /// The pod that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The container's labels.
    pub labels: BTreeMap<String, String>,
}

/// Containers that live and die together: Kubernetes', or Podman's.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Pod {
    /// Its Kubernetes namespace; Podman's pods have none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Container {
    /// Its name, with its pod's where only that makes it one; its short id where its engine never named it.
    #[must_use]
    pub fn title(&self) -> Cow<'_, str> {
        match &self.pod {
            // Only whole ids are cut: others are names.
            _ if self.name.is_empty() && self.id.len() == 64 => self.id.get(..12).unwrap_or(&self.id).into(),
            _ if self.name.is_empty() => self.id.as_str().into(),
            Some(pod @ Pod { namespace: Some(_), .. }) => format!("{pod}/{}", self.name).into(),
            _ => self.name.as_str().into(),
        }
    }
}

impl fmt::Display for Pod {
    /// `NAMESPACE/NAME`, as kubectl and `--pod` have it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(formatter, "{namespace}/")?;
        }
        formatter.write_str(&self.name)
    }
}

/// The seccomp filter that an application came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Filter {
    /// What it was made of, as far as its answers tell.
    pub kind: filter::Kind,
    /// `sha256:` and the digest of its instructions, as the kernel keeps them; null where there is no filter.
    pub digest: Option<String>,
    /// How many instructions it has.
    pub instructions: u64,
}

/// From where on a call counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Boundary {
    /// How the boundary was found.
    pub method: BoundaryMethod,
    /// True where tracing began after the application: earlier calls are not here.
    pub attached_late: bool,
}

/// How the boundary was found, the most certain first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoundaryMethod {
    /// The runtime loaded a filter: the calls are those that the filter was asked about. Exact.
    Filter,
    /// The command's own exec, by `run`. Exact for the command.
    Exec,
    /// The container has no filter: its application's exec was taken. Estimated.
    Estimated,
    /// The application was there before tracing began.
    Unknown,
}

/// One syscall of one ABI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Syscall {
    /// The number in its ABI (an x32 number without its bit 30).
    pub number: u32,
    /// The name; null for a number without one.
    pub name: Option<String>,
    /// When it was seen first; null where that event was lost (the call itself never is).
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub first_seen: Option<Timestamp>,
    /// The name of the thread that made it first (`comm`).
    pub comm: Option<String>,
    /// Who made it: one or more, sorted. Once the application has made a call, nobody looks who else
    /// makes it: a runtime or a joined process that makes it only later is not added.
    pub origins: Vec<Origin>,
    /// How many of a group's containers have made it; only in the recording of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<u32>,
}

/// Who made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The runtime, between loading the filter and the application's exec.
    Runtime,
    /// The container's init process and its descendants.
    Application,
    /// A process that joined later: `docker exec`, a health check.
    Joined,
}

/// What was lost. All zero in a good recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lost {
    /// First-call events that did not fit the ring buffer: only times and thread names are missing.
    pub events: u64,
    /// Syscalls that could not be kept: the recording is incomplete.
    pub syscalls: u64,
    /// Tasks whose origin could not be kept: their calls count as the application's.
    pub task_origins: u64,
    /// Denials that could not be kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub denials: u64,
    /// Runs of the kernel program that the kernel skipped, for any process of the machine: calls may be missing, and the recording
    /// is incomplete.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed_runs: u64,
}

impl Lost {
    /// Adds what somebody else has lost, too. Skips are the machine's since the session's start, and not of each: the most that was told.
    pub fn add(&mut self, other: Lost) {
        self.events += other.events;
        self.syscalls += other.syscalls;
        self.task_origins += other.task_origins;
        self.denials += other.denials;
        self.missed_runs = self.missed_runs.max(other.missed_runs);
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a reader of a recording should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// A stable word for the kind of warning, such as `attached-late`.
    pub code: String,
    /// One sentence, with what to do.
    pub message: String,
}

impl Syscall {
    /// Our table's name; where it has none, that of a newer program's, if it looks like one.
    pub fn name_in(&self, abi: Abi) -> Option<&str> {
        name_in(abi, self.number, self.name.as_deref())
    }
}

fn name_in(abi: Abi, number: u32, recorded: Option<&str>) -> Option<&str> {
    let looks_like_one = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    abi.name(number).or_else(|| recorded.filter(looks_like_one))
}

impl Recording {
    /// A warning is added once by its code.
    pub fn warn(&mut self, code: &str, message: impl Into<String>) {
        if !self.warnings.iter().any(|warning| warning.code == code) {
            self.warnings.push(Warning { code: code.to_owned(), message: message.into() });
        }
    }

    /// True where a syscall was lost, or may be.
    pub fn is_incomplete(&self) -> bool {
        self.lost.syscalls > 0 || self.lost.missed_runs > 0
    }

    /// Why syscalls that were made are missing, or may be: the recording is incomplete, or a checkpoint.
    #[must_use]
    pub fn lacks_calls(&self) -> Option<String> {
        let Lost { syscalls, missed_runs, .. } = self.lost;
        let parts = [
            (!self.finished).then(|| "it is a checkpoint, and what came after it is missing".to_owned()),
            (syscalls > 0).then(|| format!("{syscalls} syscalls are lost")),
            (missed_runs > 0).then(|| format!("the kernel skipped its tracing {missed_runs} times")),
            (self.is_incomplete() && syscalls + missed_runs == 0).then(|| "it is incomplete".to_owned()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// As [`Target::title`].
    #[must_use]
    pub fn title(&self) -> Cow<'_, str> {
        self.target.title()
    }
}
