//! A service of our own, where no socket of Podman's is up: `podman system service`, a child that ends with us, however
//! we end.
//!
//! It inherits the listening socket as systemd's socket activation hands one over, and the socket has no name any more
//! when the child starts: nobody else can connect, nothing is left behind, a service that is started anew goes on where
//! the last one ended. We connect through `/proc/self/fd`.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::NAME;
use super::libpod::Libpod;
use crate::engine::EngineError;
use crate::engine::docker::{CALL, reason};

const PROGRAM: &str = "podman";
/// Where socket activation puts the first socket (sd_listen_fds(3)).
const FIRST: i32 = 3;
/// Between the end of one service and the start of the next.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A running service; it ends with the value.
pub(super) struct Service {
    /// The socket's inode, to connect to.
    socket: OwnedFd,
    keeper: JoinHandle<()>,
}

/// What a service is started with.
struct Start {
    listener: UnixListener,
    /// Where the socket was: Podman removes what is there, and wants a name.
    path: PathBuf,
}

impl Service {
    /// Starts it. Must be called within a tokio runtime, whose thread must live as long as the service.
    ///
    /// Errors: there is no podman, or it ends instead of answering.
    pub async fn start() -> Result<Self, EngineError> {
        // First of all: without it there may be no temporary folder either, as in an image of ours alone.
        let path_variable = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path_variable).any(|folder| folder.join(PROGRAM).exists()) {
            let reason = "there is neither a socket of it nor a program `podman`".to_owned();
            return Err(EngineError::Absent { engine: NAME, reason });
        }
        let failed = |error: io::Error| refused(format!("its service can't be started: {error}"));
        let (start, socket) = Start::listen().map_err(failed)?;
        let mut process = start.spawn().map_err(failed)?;
        let libpod = Libpod::new(path(&socket), None);
        tokio::select! {
            answer = libpod.ping() => {
                answer.map_err(|error| refused(format!("its service does not answer: {}", reason(&error))))?;
            }
            said = process.end() => return Err(refused(format!("podman system service has ended: {said}"))),
            () = sleep(CALL) => {
                return Err(refused(format!("its service does not answer within {} s", CALL.as_secs())));
            }
        }
        let keeper = tokio::spawn(start.keep(process));
        Ok(Self { socket, keeper })
    }

    /// Where to connect to, from this process alone.
    pub fn socket(&self) -> PathBuf {
        path(&self.socket)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The child is the keeper's, and is killed with it.
        self.keeper.abort();
    }
}

impl Start {
    /// Makes the socket and removes its name.
    fn listen() -> io::Result<(Self, OwnedFd)> {
        let folder = tempfile::Builder::new().prefix("seccomp-trace.").tempdir()?;
        let path = folder.path().join("podman.sock");
        let listener = UnixListener::bind(&path)?;
        let socket = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        folder.close()?;
        Ok((Self { listener, path }, socket))
    }

    fn spawn(&self) -> io::Result<Process> {
        let mut command = Command::new(PROGRAM);
        command
            .args(["system", "service", "--time=0"])
            .arg(format!("unix://{}", self.path.display()))
            .env("LISTEN_FDS", "1")
            // Not ours to pass on: who is meant, whom to tell of readiness, another host.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDNAMES")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("CONTAINER_CONNECTION")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A Ctrl-C is for us: it is still asked afterwards.
            .process_group(0)
            .kill_on_drop(true);
        let listener = self.listener.as_raw_fd();
        let parent = rustix::process::getpid();
        let hand_over = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(io::ErrorKind::Other.into());
            }
            // SAFETY: system calls alone, on a descriptor that is open.
            let done = unsafe {
                match listener {
                    FIRST => libc::fcntl(FIRST, libc::F_SETFD, 0),
                    _ => libc::dup2(listener, FIRST),
                }
            };
            if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        };
        // SAFETY: between fork and exec it makes only system calls.
        unsafe { command.pre_exec(hand_over) };
        let mut child = command.spawn()?;
        let lines = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        Ok(Process { child, lines, last: None })
    }

    /// Starts it anew whenever it ends.
    async fn keep(self, mut process: Process) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let began = Instant::now();
            // Not in the message itself, which is made only where it is wanted.
            let said = process.end().await;
            log::warn!("podman system service has ended: {said}");
            if began.elapsed() > LONGEST_PAUSE {
                pause = SHORTEST_PAUSE;
            }
            process = loop {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                match self.spawn() {
                    Ok(process) => break process,
                    Err(error) => log::warn!("podman system service can't be started: {error}"),
                }
            };
        }
    }
}

/// A service's process. What it says is read as long as it runs: it would die of a pipe that nobody reads.
struct Process {
    child: Child,
    lines: Option<Lines<BufReader<ChildStderr>>>,
    last: Option<String>,
}

impl Process {
    /// Waits for its end, and gives the last line that it said, and its status. May be dropped and called again.
    async fn end(&mut self) -> String {
        loop {
            let next = async {
                match &mut self.lines {
                    Some(lines) => lines.next_line().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                line = next => match line {
                    Ok(Some(line)) => {
                        log::debug!("podman system service: {line}");
                        self.last = Some(line);
                    }
                    _ => self.lines = None,
                },
                status = self.child.wait() => {
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    return self.last.take().map_or(status.clone(), |last| format!("{last} ({status})"));
                }
            }
        }
    }
}

fn path(socket: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", socket.as_raw_fd()).into()
}

fn refused(reason: String) -> EngineError {
    EngineError::Refused { engine: NAME, reason }
}
