//! A cgroup for a test, in the v2 hierarchy wherever it is mounted.

use anyhow::{Context as _, Result};
use seccomp_trace::inspect::cgroup::Hierarchy;
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

/// A cgroup. Dropped, it is removed with all that is in it.
pub struct Cgroup {
    hierarchy: Hierarchy,
    /// From the hierarchy's root.
    pub path: String,
}

impl Cgroup {
    /// A name below the root that nobody has; nothing is made yet.
    pub fn named() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/seccomp-trace-test.{}.{number}", std::process::id());
        Ok(Self { hierarchy: Hierarchy::find()?, path })
    }

    /// A new one below the root.
    pub fn create() -> Result<Self> {
        let cgroup = Self::named()?;
        cgroup.make("")?;
        Ok(cgroup)
    }

    /// Makes it, or one below it.
    pub fn make(&self, below: &str) -> Result<()> {
        let directory = self.directory().join(below);
        fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))
    }

    /// Its directory.
    pub fn directory(&self) -> PathBuf {
        self.hierarchy.directory(&self.path)
    }

    /// The directory of the hierarchy's root.
    pub fn root(&self) -> PathBuf {
        self.hierarchy.directory("/")
    }

    /// The file into which a process writes 0 to move itself here.
    pub fn procs(&self) -> String {
        self.directory().join("cgroup.procs").display().to_string()
    }

    /// The paths of all cgroups below it.
    pub fn below(&self) -> Vec<String> {
        self.hierarchy.tree(&self.path).into_iter().skip(1).collect()
    }

    /// The processes in it and below.
    pub fn processes(&self) -> Vec<i32> {
        let tree = self.hierarchy.tree(&self.path);
        tree.iter().flat_map(|path| self.hierarchy.processes(path)).collect()
    }

    /// Ends what is in it, and removes it with all below.
    pub fn remove(&self) -> Result<()> {
        let _ = fs::write(self.directory().join("cgroup.kill"), "1");
        for path in self.hierarchy.tree(&self.path).iter().rev() {
            let directory = self.hierarchy.directory(path);
            super::eventually("a cgroup can be removed", || {
                (!directory.exists() || fs::remove_dir(&directory).is_ok()).then_some(())
            })?;
        }
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}
