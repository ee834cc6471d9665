//! Finding the command before anything is started, and starting it in its cgroup.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, PipeReader, PipeWriter, Write as _},
    os::fd::{AsRawFd as _, RawFd},
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::Stdio,
    thread::{self, JoinHandle},
};

use rustix::fs::{Access, access};
use thiserror::Error;
use tokio::{
    process::{Child, Command},
    runtime::Handle,
};

use super::{Step, User};

/// Why a command can't be started.
#[derive(Debug, Error)]
pub enum CommandError {
    /// There is none of this name.
    #[error("{}: command not found", name.display())]
    NotFound {
        /// What was typed.
        name: OsString,
    },
    /// It is there, and can't be executed.
    #[error("{}: not executable: {reason}", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It may be executable, and could not be started as was wanted.
    #[error("{} was not started: {step} failed ({reason}); {advice}", path.display(), advice = step.advice())]
    NotStarted {
        /// The file.
        path: PathBuf,
        /// What failed.
        step: Step,
        /// Why.
        reason: io::Error,
    },
}

impl CommandError {
    /// What a shell exits with: 127 or 126; and 125 where it is not the command's fault.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            Self::NotStarted { .. } => 125,
        }
    }
}

/// Finds a command as execvp does: a name with a slash is a path, any other is looked for in PATH.
///
/// # Errors
/// Where it is not there or not executable.
pub fn resolve(name: &OsStr) -> Result<PathBuf, CommandError> {
    let not_found = || CommandError::NotFound { name: name.to_owned() };
    if name.as_encoded_bytes().contains(&b'/') {
        return executable(Path::new(name)).ok_or_else(not_found)?;
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut refused = None;
    for folder in env::split_paths(&path) {
        match executable(&folder.join(name)) {
            Some(Ok(found)) => return Ok(found),
            Some(Err(error)) => refused = refused.or(Some(error)),
            None => {}
        }
    }
    Err(refused.unwrap_or_else(not_found))
}

fn executable(path: &Path) -> Option<Result<PathBuf, CommandError>> {
    let metadata = path.metadata().ok()?;
    let refuse = |reason: String| Some(Err(CommandError::NotExecutable { path: path.to_owned(), reason }));
    if metadata.is_dir() {
        return refuse("it is a folder".to_owned());
    }
    match access(path, Access::EXEC_OK) {
        Ok(()) => Some(Ok(path.to_owned())),
        Err(error) => refuse(io::Error::from(error).to_string()),
    }
}

/// A command's standard streams, where they are not ours.
#[derive(Debug, Default)]
pub struct Streams {
    /// What it reads.
    pub stdin: Option<Stdio>,
    /// Where it prints.
    pub stdout: Option<Stdio>,
    /// Where it complains.
    pub stderr: Option<Stdio>,
    /// It has a process group of its own: what the terminal sends, it does not get.
    pub is_apart: bool,
}

/// Starts a command as it is.
///
/// # Errors
/// What the kernel refuses: a format that it can't execute, for instance.
pub fn spawn(program: &Path, argv: &[OsString], streams: Streams) -> Result<Child, CommandError> {
    start(command(program, argv, streams), program)
}

/// A process that has entered a cgroup, or is about to, and there waits to execute its command. Dropped, it never does, and is gone.
pub struct GatedChild {
    gate: Option<PipeWriter>,
    /// It has a thread of ours: nobody returns from a spawn before the exec.
    thread: Option<JoinHandle<Result<Child, CommandError>>>,
}

impl GatedChild {
    /// Starts it, inside of a tokio runtime. The kernel needs some 10 ms to move a process (it waits for all processors), in
    /// which the caller goes on.
    ///
    /// # Errors
    /// Where there is no pipe or no thread. That there is no process is said by [`Self::execute`].
    pub fn start(
        program: PathBuf,
        argv: &[OsString],
        cgroup_procs: File,
        user: Option<&User>,
        streams: Streams,
    ) -> Result<Self, CommandError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |reason| CommandError::NotStarted { path, step: Step::Process, reason }
        };
        let (opened, gate) = io::pipe().map_err(failed(&program))?;
        let mut command = command(&program, argv, streams);
        let enter = enter(cgroup_procs, opened, gate.as_raw_fd(), user.cloned());
        // SAFETY: between fork and exec it makes only system calls.
        unsafe { command.pre_exec(enter) };
        let runtime = Handle::current();
        let failed = failed(&program);
        let thread = thread::Builder::new().spawn(move || {
            let _entered = runtime.enter();
            start(command, &program)
        });
        Ok(Self { gate: Some(gate), thread: Some(thread.map_err(failed)?) })
    }

    /// Lets it execute its command, whose very first call is in the cgroup.
    ///
    /// # Errors
    /// What the kernel refuses: a format that it can't execute, for instance.
    pub fn execute(mut self) -> Result<Child, CommandError> {
        // Where nobody waits, the thread says why.
        let _ = self.gate.as_mut().map(|gate| gate.write_all(b"."));
        self.end().unwrap_or_else(|| unreachable!("it is ended by this and by a drop alone"))
    }

    fn end(&mut self) -> Option<Result<Child, CommandError>> {
        self.gate = None;
        self.thread.take().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl Drop for GatedChild {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the process does before it executes its command. It waits for a byte from the pipe, or for its end.
fn enter(
    cgroup_procs: File,
    opened: PipeReader,
    gate: RawFd,
    user: Option<User>,
) -> impl FnMut() -> io::Result<()> {
    move || {
        // SAFETY: system calls alone, on memory made before the fork.
        unsafe {
            let entered = libc::write(cgroup_procs.as_raw_fd(), c"0".as_ptr().cast(), 1);
            Step::Cgroup.check(entered as i32)?;
            // Its own copy: with that open the pipe would have no end.
            libc::close(gate);
            let mut byte = 0_u8;
            while libc::read(opened.as_raw_fd(), (&raw mut byte).cast(), 1) < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            if byte == 0 {
                // Nobody wants it any more, or nobody is left: an error would have no reader, and end in an abort.
                libc::_exit(1);
            }
            if let Some(User { uid, gid, groups }) = &user {
                Step::User.check(libc::setgroups(groups.len(), groups.as_ptr()))?;
                Step::User.check(libc::setgid(*gid))?;
                Step::User.check(libc::setuid(*uid))?;
            }
        }
        Ok(())
    }
}

fn command(program: &Path, argv: &[OsString], streams: Streams) -> Command {
    let mut command = Command::new(program);
    let Streams { stdin, stdout, stderr, is_apart } = streams;
    if let Some(stdin) = stdin {
        command.stdin(stdin);
    }
    if let Some(stdout) = stdout {
        command.stdout(stdout);
    }
    if let Some(stderr) = stderr {
        command.stderr(stderr);
    }
    if is_apart {
        command.process_group(0);
    }
    if let Some((name, arguments)) = argv.split_first() {
        command.arg0(name).args(arguments);
    }
    command
}

fn start(mut command: Command, program: &Path) -> Result<Child, CommandError> {
    command.spawn().map_err(|error| {
        let path = program.to_owned();
        match Step::failed(error) {
            (Step::Exec, reason) if reason.raw_os_error() == Some(libc::ENOENT) => {
                // It was there: what its first line, or its header, names is not.
                CommandError::NotExecutable { path, reason: "its interpreter does not exist".to_owned() }
            }
            (Step::Exec, reason) => CommandError::NotExecutable { path, reason: reason.to_string() },
            (step, reason) => CommandError::NotStarted { path, step, reason },
        }
    })
}

#[cfg(test)]
mod tests;
