//! What every tracing command does before it starts anything: look whether this host can trace.

use anyhow::{Context as _, Result, bail};

use super::{printer::Printer, session::Session};
use crate::{
    inspect::{HostError, cgroup::Hierarchy, host},
    tracer::{self, Loader, Tracer},
};

/// Looks at kernel, privileges and cgroups.
///
/// # Errors
/// All that is missing, and what to do. A kernel that is too old, or missing privileges, alone: the rest follows from them.
pub fn check_host() -> Result<Hierarchy> {
    host::check()?;
    let mut lacks = tracer::missing_features();
    let hierarchy = Hierarchy::find();
    match hierarchy {
        Ok(hierarchy) if lacks.is_empty() => return Ok(hierarchy),
        Err(error @ HostError::NoCgroup2) => lacks.push(error.to_string()),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    bail!("this machine can't trace: {}", lacks.join("; and "))
}

/// Loads and attaches the kernel program. Must be called inside of a tokio runtime.
///
/// # Errors
/// Where the kernel refuses.
pub fn start_session(
    loader: Loader,
    options: tracer::Options,
    waited: &[String],
    printer: &Printer,
) -> Result<Session> {
    let tracer = Tracer::start(loader, options, waited)?;
    if tracer.may_cause_skips() {
        printer.warn(
            "without CAP_SYS_NICE this kernel may skip a part of the kernel program, by which the recording would be incomplete; \
             in a container: --cap-add SYS_NICE",
        );
    }
    Session::new(tracer).context("can't wait for news of the kernel program")
}

/// One thread for everything: what is fast happens in the kernel.
///
/// # Errors
/// Where the kernel gives no event queue.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("can't start the event loop")
}
