//! The steps of starting a command: which one failed is told across the fork.

use std::{fmt, io};

/// Where the step stands in the one number that a child can tell its parent: above every errno (the
/// kernel's `MAX_ERRNO` is 4095).
const STEP_SHIFT: u32 = 16;

/// A step of starting a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Making a process.
    Process = 0,
    /// Entering its cgroup.
    Cgroup = 1,
    /// Becoming the user.
    User = 2,
    /// Executing the file.
    Exec = 3,
}

impl Step {
    /// In the child, between fork and exec, of a system call's result: allocates nothing.
    pub(super) fn check(self, result: i32) -> io::Result<()> {
        if result >= 0 {
            return Ok(());
        }
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        Err(io::Error::from_raw_os_error(errno | (self as i32) << STEP_SHIFT))
    }

    /// In the parent: which step failed, and why.
    pub(super) fn failed(error: io::Error) -> (Self, io::Error) {
        let Some(code) = error.raw_os_error() else { return (Self::Process, error) };
        let step = match code >> STEP_SHIFT {
            1 => Self::Cgroup,
            2 => Self::User,
            _ if is_about_the_file(code) => Self::Exec,
            _ => Self::Process,
        };
        (step, io::Error::from_raw_os_error(code & ((1 << STEP_SHIFT) - 1)))
    }

    /// What to do where it failed.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Process => {
                "look for what is used up: memory, processes (ulimit -u), open files (ulimit -n)"
            }
            Self::Cgroup => "start it from another cgroup, such as one of `systemd-run --scope`",
            Self::User => "it takes CAP_SETUID, CAP_SETGID and a user that is known in this user namespace",
            Self::Exec => "choose a file that can be executed",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "making a process",
            Self::Cgroup => "entering its cgroup",
            Self::User => "becoming the user",
            Self::Exec => "executing it",
        })
    }
}

/// What execve(2) says of the file and its arguments. What it says of the machine (ENOMEM, EAGAIN,
/// ENFILE …) is not the command's fault, and a fork may have said it.
fn is_about_the_file(errno: i32) -> bool {
    [
        libc::E2BIG,
        libc::EACCES,
        libc::EINVAL,
        libc::EISDIR,
        libc::ELIBBAD,
        libc::ELOOP,
        libc::ENAMETOOLONG,
        libc::ENOENT,
        libc::ENOEXEC,
        libc::ENOTDIR,
        libc::EPERM,
        libc::ETXTBSY,
    ]
    .contains(&errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_alone_is_of_the_exec_or_of_the_machine() {
        let of = |errno| Step::failed(io::Error::from_raw_os_error(errno)).0;
        for errno in [libc::ENOEXEC, libc::EACCES, libc::ELIBBAD, libc::ENOENT, libc::ETXTBSY] {
            assert_eq!(of(errno), Step::Exec);
        }
        for errno in [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EBUSY] {
            assert_eq!(of(errno), Step::Process);
        }
    }

    #[test]
    fn a_step_and_its_reason_are_told_apart() {
        let told = io::Error::from_raw_os_error(libc::EBUSY | (Step::Cgroup as i32) << STEP_SHIFT);
        let (step, reason) = Step::failed(told);
        assert_eq!((step, reason.raw_os_error()), (Step::Cgroup, Some(libc::EBUSY)));
    }
}
