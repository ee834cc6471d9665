//! The options of every command that writes a profile: run, record, generate.

use clap::Args;

use crate::format::Format;
use crate::profile::{Options, Runtimes, UnknownRuntime};

/// What the profile is to be.
#[derive(Clone, Debug, Args)]
pub struct ProfileOptions {
    /// Whose start-up calls to add, so that a container starts under the profile tomorrow, too: of
    /// every runtime known (all), of those named, such as runc,crun-1.28, or of none beyond what was
    /// seen (exact). The few calls that depend on the moment, such as rt_sigreturn, are always in
    #[arg(
        long,
        value_name = "all|exact|NAME",
        value_delimiter = ',',
        default_value = "all",
        value_parser = parse_runtime
    )]
    runtimes: Vec<String>,
    /// Leave out what only processes made that joined a running container: docker exec, health checks. They may
    /// fail under such a profile. A call that the service made too stays
    #[arg(long)]
    exclude_joined: bool,
    /// Allow what the profile denied under which it was recorded; else that stays denied, with the same errno
    #[arg(long)]
    allow_denied: bool,
    /// Add what another C library, kernel or machine would call instead of what is allowed: openat2 for openat, statx
    /// for newfstatat, clone3 for clone, and what the vDSO hides, such as clock_gettime. Each with its reason
    /// (--verbose); docs/portable.md has the table
    #[arg(long)]
    portable: bool,
    /// The profile's format
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
}

impl ProfileOptions {
    /// How the profile is to be built.
    ///
    /// # Errors
    /// Where `all` or `exact` stands beside another name.
    pub fn options(&self) -> anyhow::Result<Options> {
        let runtimes = match self.runtimes.as_slice() {
            [one] if one == "all" => Runtimes::All,
            [one] if one == "exact" => Runtimes::Exact,
            names if names.iter().any(|name| name == "all" || name == "exact") => {
                anyhow::bail!("--runtimes {} contradicts itself: all and exact stand alone", names.join(","))
            }
            names => Runtimes::Named(names.to_vec()),
        };
        let Self { exclude_joined, allow_denied, portable, .. } = *self;
        Ok(Options { runtimes, exclude_joined, allow_denied, portable })
    }
}

/// Checked when it is parsed, so that an unknown name stops the program before anything is traced.
fn parse_runtime(name: &str) -> Result<String, UnknownRuntime> {
    if !["all", "exact"].contains(&name) {
        Runtimes::Named(vec![name.to_owned()]).sets()?;
    }
    Ok(name.to_owned())
}
