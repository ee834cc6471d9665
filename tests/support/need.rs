//! What a test can need of the machine, and whether it is here.

use super::compile;
use super::programs::{find_program, is_static};
use anyhow::Context as _;
use aya::programs::ProgramType;
use seccomp_trace::inspect::libseccomp::Libseccomp;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// The variable that names the static program.
const STATIC: &str = "SECCOMP_TRACE_STATIC";

/// Something that a test needs and that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Root that may load BPF programs, the kernel's BTF, and cgroup v2.
    Kernel,
    /// A Docker daemon that answers.
    Docker,
    /// Podman. It needs no daemon.
    Podman,
    /// Docker Compose's own program.
    Compose,
    /// containerd: each test starts its own.
    Containerd,
    /// The runtime runc.
    Runc,
    /// The runtime crun.
    Crun,
    /// strace, the independent witness.
    Strace,
    /// debootstrap, for images made of Debian's packages.
    Debootstrap,
    /// A statically linked busybox, which is an image of its own.
    Busybox,
    /// A C compiler.
    Cc,
    /// curl, as in the README.
    Curl,
    /// systemd, installed: the tests run one of their own.
    Systemd,
    /// Debian's stress-ng.
    StressNg,
    /// Debian's PostgreSQL.
    Postgresql,
    /// Debian's nginx.
    Nginx,
    /// Debian's Python.
    Python,
    /// tmux, the terminal of tests.
    Tmux,
    /// The library by which runtimes make filters.
    Libseccomp,
    /// A kernel with a vsyscall page.
    Vsyscall,
    /// lintian, Debian's checker of packages.
    Lintian,
    /// Root.
    Root,
    /// The static program, which `cargo xtask test` builds and names in the environment.
    Static,
}

impl Need {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 23] = [
        Self::Kernel,
        Self::Docker,
        Self::Podman,
        Self::Compose,
        Self::Containerd,
        Self::Runc,
        Self::Crun,
        Self::Strace,
        Self::Debootstrap,
        Self::Busybox,
        Self::Cc,
        Self::Curl,
        Self::Systemd,
        Self::StressNg,
        Self::Postgresql,
        Self::Nginx,
        Self::Python,
        Self::Tmux,
        Self::Libseccomp,
        Self::Vsyscall,
        Self::Lintian,
        Self::Root,
        Self::Static,
    ];

    /// The name by which `SECCOMP_TRACE_REQUIRE` and the reasons of skips call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Compose => "docker-compose",
            Self::Containerd => "containerd",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Strace => "strace",
            Self::Debootstrap => "debootstrap",
            Self::Busybox => "busybox",
            Self::Cc => "cc",
            Self::Curl => "curl",
            Self::Systemd => "systemd",
            Self::StressNg => "stress-ng",
            Self::Postgresql => "postgresql",
            Self::Nginx => "nginx",
            Self::Python => "python",
            Self::Tmux => "tmux",
            Self::Libseccomp => "libseccomp",
            Self::Vsyscall => "vsyscall",
            Self::Lintian => "lintian",
            Self::Root => "root",
            Self::Static => "static",
        }
    }

    /// Why it isn't met, if it isn't. Looked up once in the life of a test program.
    pub fn check(self) -> Result<(), String> {
        static CHECKED: [OnceLock<Result<(), String>>; Need::ALL.len()] =
            [const { OnceLock::new() }; Need::ALL.len()];
        CHECKED[self as usize].get_or_init(|| self.look()).clone()
    }

    fn look(self) -> Result<(), String> {
        match self {
            Self::Kernel => kernel(),
            Self::Docker => {
                let mut version = docker();
                // The subcommand that puts the daemon's silence into words.
                version.args(["version", "--format", "{{.Server.Version}}"]);
                match super::run_with_timeout(&mut version, Duration::from_secs(20)) {
                    Ok(output) if output.status.success() => Ok(()),
                    Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")),
                    Err(error) => Err(format!("{error:#}")),
                }
            }
            Self::Busybox => match find_program("busybox") {
                Some(path) if is_static(&path) => Ok(()),
                Some(path) => Err(format!("{} is dynamically linked", path.display())),
                None => Err("there is no program busybox".into()),
            },
            Self::Cc if compile::is_elsewhere() => Ok(()),
            Self::Systemd => file("/lib/systemd/systemd"),
            Self::StressNg => file("/usr/bin/stress-ng"),
            Self::Postgresql => file("/usr/lib/postgresql/15/bin/postgres"),
            Self::Nginx => file("/usr/sbin/nginx"),
            Self::Python => file("/usr/bin/python3"),
            Self::Libseccomp => match Libseccomp::find() {
                Some(_) => Ok(()),
                None => Err("libseccomp.so.2 is not installed".into()),
            },
            Self::Vsyscall => match std::fs::read_to_string("/proc/self/maps") {
                Ok(maps) if maps.contains("[vsyscall]") => Ok(()),
                Ok(_) => Err("the kernel has no vsyscall page (vsyscall=none)".into()),
                Err(error) => Err(format!("/proc/self/maps: {error}")),
            },
            Self::Root if rustix::process::geteuid().is_root() => Ok(()),
            Self::Root => Err("not root".into()),
            Self::Static => static_program().map(drop).map_err(|error| format!("{error:#}")),
            program => match find_program(program.name()) {
                Some(_) => Ok(()),
                None => Err(format!("there is no program {}", program.name())),
            },
        }
    }
}

/// Whether Debian's own is here, wherever the PATH leads.
fn file(path: &str) -> Result<(), String> {
    if Path::new(path).exists() { Ok(()) } else { Err(format!("there is no {path}")) }
}

fn kernel() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("not root".into());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err("the kernel has no BTF (/sys/kernel/btf/vmlinux)".into());
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
    if !mounts.lines().any(|mount| mount.split(' ').nth(2) == Some("cgroup2")) {
        return Err("cgroup v2 is not mounted".into());
    }
    match aya::sys::is_program_supported(ProgramType::RawTracePoint) {
        Ok(true) => Ok(()),
        Ok(false) => Err("the kernel takes no raw tracepoint programs from this root".into()),
        Err(error) => Err(format!("the kernel takes no BPF programs from this root: {error}")),
    }
}

/// The docker client: the distribution's where there is one, which is as old as its daemon.
pub fn docker() -> Command {
    let packaged = Path::new("/usr/bin/docker");
    Command::new(if packaged.exists() { packaged } else { Path::new("docker") })
}

/// The static program.
pub fn static_program() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(STATIC).map(PathBuf::from);
    let path =
        path.with_context(|| format!("{STATIC} does not say where it is; `cargo xtask test` builds it"))?;
    anyhow::ensure!(is_static(&path), "{} is not static", path.display());
    Ok(path)
}
