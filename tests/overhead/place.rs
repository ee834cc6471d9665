//! The cgroups of a benchmark.

use anyhow::{Context as _, Result};
use seccomp_trace::inspect::cgroup::Hierarchy;
use std::{fs, path::PathBuf, process};

/// A folder of cgroups. Dropped, it is removed, with what is in it: nothing may run there any more.
pub struct Place {
    hierarchy: Hierarchy,
    /// From the hierarchy's root.
    pub path: String,
    many: u32,
}

impl Place {
    /// The one that is traced, one in which nothing is, and so many others.
    pub fn new(many: u32) -> Result<Self> {
        let place = Self {
            hierarchy: Hierarchy::find()?,
            path: format!("/seccomp-trace-bench.{}", process::id()),
            many,
        };
        let others = (0..many).map(|number| format!("/{number}"));
        for below in [String::new(), "/traced".to_owned(), "/untouched".to_owned()].into_iter().chain(others)
        {
            let directory = place.hierarchy.directory(&format!("{}{below}", place.path));
            fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        Ok(place)
    }

    fn id(&self, below: &str) -> Result<u64> {
        Ok(self.hierarchy.id(&format!("{}/{below}", self.path))?)
    }

    pub fn traced(&self) -> Result<u64> {
        self.id("traced")
    }

    pub fn untouched(&self) -> Result<u64> {
        self.id("untouched")
    }

    /// So many of the others.
    pub fn others(&self, count: u32) -> Result<Vec<u64>> {
        (0..count.min(self.many)).map(|number| self.id(&number.to_string())).collect()
    }

    /// Into which a process writes 0 to be traced.
    pub fn procs(&self) -> PathBuf {
        self.procs_of("traced")
    }

    /// The same of another one.
    pub fn procs_of(&self, below: &str) -> PathBuf {
        self.hierarchy.directory(&format!("{}/{below}", self.path)).join("cgroup.procs")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for path in self.hierarchy.tree(&self.path).iter().rev() {
            let _ = fs::remove_dir(self.hierarchy.directory(path));
        }
    }
}
