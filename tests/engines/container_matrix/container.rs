//! One container of the test image, removed when it goes out of scope, however the test ends.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{self, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{command, image};
use crate::support;

/// Docker answers within this, also on a busy machine.
const DOCKER: Duration = Duration::from_secs(60);

/// A container that was started.
pub struct Container {
    name: String,
    /// How long the program in it may take for one step.
    pub patience: Duration,
}

/// How a container is started, besides its program.
#[derive(Default)]
pub struct Start<'a> {
    /// A name of [`unused_name`], where it has to be known before the container is.
    pub name: Option<String>,
    /// The seccomp profile it is started under; Docker's default without one.
    pub profile: Option<&'a Path>,
    /// Further options of `docker run`.
    pub options: Vec<&'a str>,
}

impl Container {
    /// Starts `argv` in a container; an error means that the runtime could not start it.
    pub fn start(start: Start<'_>, argv: &[&str], patience: Duration) -> Result<Self> {
        let name = start.name.unwrap_or_else(|| unused_name("program"));
        let mut run = support::docker();
        run.args(["run", "--detach", "--name", &name]).args(start.options);
        if let Some(profile) = start.profile {
            run.arg("--security-opt").arg(format!("seccomp={}", profile.display()));
        }
        // Made before the start: what docker leaves of a failed one is removed as well.
        let container = Self { name, patience };
        command::output(run.arg(image::name()?).args(argv), DOCKER).context("the container doesn't start")?;
        Ok(container)
    }

    /// Sends a signal to its init process.
    pub fn signal(&self, signal: &str) -> Result<()> {
        run_docker(&["kill", "--signal", signal, &self.name]).map(drop)
    }

    /// Waits for its end and gives its exit code.
    pub fn wait(&self) -> Result<i32> {
        let finished = command::output(support::docker().args(["wait", &self.name]), self.patience)
            .with_context(|| format!("the program doesn't end{}", self.last_words()))?;
        finished.trim().parse().with_context(|| format!("docker wait: {finished:?}"))
    }

    /// Has it not ended?
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.inspect("{{.State.Running}}")? == "true")
    }

    /// What it wrote to its standard output and standard error so far.
    pub fn logs(&self) -> Result<Output> {
        support::run_with_timeout(support::docker().args(["logs", &self.name]), DOCKER)
    }

    /// Where it serves `port`, once a connection to it succeeds.
    pub fn serving(&self, port: u16) -> Result<SocketAddr> {
        let what = format!("an answer on port {port}");
        command::until(self.patience, &what, || {
            // It has no address any more once it has ended.
            let Ok(ip) =
                self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")?.parse::<IpAddr>()
            else {
                bail!("the program has ended");
            };
            let address = SocketAddr::new(ip, port);
            Ok(TcpStream::connect_timeout(&address, self.patience).ok().map(|_| address))
        })
        .with_context(|| format!("the program doesn't serve{}", self.last_words()))
    }

    fn inspect(&self, format: &str) -> Result<String> {
        Ok(run_docker(&["inspect", "--format", format, &self.name])?.trim().to_owned())
    }

    /// The end of its standard error, for an error message.
    pub fn last_words(&self) -> String {
        let logs =
            self.logs().map(|logs| String::from_utf8_lossy(&logs.stderr).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = logs.lines().rev().take(5).collect();
        if lines.is_empty() {
            return String::new();
        }
        format!("; its last words:\n  {}", lines.into_iter().rev().collect::<Vec<_>>().join("\n  "))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Removed already, or never made: then there is nothing to do.
        run_docker(&["rm", "--force", "--volumes", &self.name]).ok();
    }
}

/// A container name that no other test, of this run or another one, has.
pub fn unused_name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("seccomp-trace-test-{}-{}-{what}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn run_docker(arguments: &[&str]) -> Result<String> {
    command::output(support::docker().args(arguments), DOCKER)
}
