//! The real programs.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A program that is witnessed. Debian's own: what else a machine has on its PATH doesn't matter.
pub struct Program {
    /// What it is called in the document.
    pub name: &'static str,
    /// What kind of program it is.
    pub kind: &'static str,
    /// What it does here.
    pub does: &'static str,
    /// Debian's package.
    pub package: &'static str,
    /// How it ends.
    pub status: i32,
    /// What it prints when it has done its work.
    pub says: &'static str,
    /// What runs it, and the script's text.
    shell: &'static [&'static str],
    script: &'static str,
}

const AS_NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-euc"];
const AS_ROOT: &[&str] = &["sh", "-euc"];

/// All.
pub const PROGRAMS: [Program; 5] = [
    Program {
        name: "PostgreSQL",
        kind: "database",
        does: "makes a cluster, starts, answers four clients of pgbench and psql, stops",
        package: "postgresql-15",
        status: 0,
        says: "done\n",
        shell: AS_NOBODY,
        script: include_str!("programs/postgresql.sh"),
    },
    Program {
        name: "nginx",
        kind: "web server",
        does: "two workers serve files to curl, before and after a reload, and quit",
        package: "nginx",
        status: 0,
        says: "done\n",
        shell: AS_ROOT,
        script: include_str!("programs/nginx.sh"),
    },
    Program {
        name: "Python",
        kind: "interpreter with threads",
        does: "threads, subprocesses, an event loop, sockets, files, SQLite",
        package: "python3.11-minimal",
        status: 7,
        says: "alarm True\n",
        shell: &["/usr/bin/python3", "-c"],
        script: include_str!("../engines/container_matrix/programs/python.py"),
    },
    Program {
        name: "GCC",
        kind: "compiler",
        does: "compiles, assembles and links a C program with link-time optimisation, and runs it",
        package: "gcc-12",
        status: 0,
        says: "done\n",
        shell: AS_NOBODY,
        script: include_str!("programs/gcc.sh"),
    },
    Program {
        name: "containerd",
        kind: "Go program",
        does: "starts with its plugins, answers ctr, takes an image, stops",
        package: "containerd",
        status: 0,
        says: "done\n",
        shell: AS_ROOT,
        script: include_str!("programs/containerd.sh"),
    },
];

impl Program {
    /// The command to execute.
    pub fn argv(&self) -> Vec<String> {
        self.shell.iter().chain([&self.script]).map(|word| (*word).to_owned()).collect()
    }

    /// The version of its package.
    pub fn version(&self) -> Result<String> {
        version(self.package)
    }
}

/// The version of one of Debian's packages.
pub fn version(package: &str) -> Result<String> {
    let output = Command::new("dpkg-query").args(["--show", "--showformat=${Version}", package]).output();
    let output = output.context("cannot start dpkg-query: the witnessed programs are Debian's")?;
    if !output.status.success() {
        bail!("{package} is not installed; type: apt-get install {package}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
