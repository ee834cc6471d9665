//! What this machine is, and what is on it.

use crate::programs::find_program;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether this is Debian 12, the distribution whose packages we know.
pub fn is_debian_12() -> bool {
    std::fs::read_to_string("/etc/os-release").is_ok_and(|text| says_debian_12(&text))
}

fn says_debian_12(os_release: &str) -> bool {
    let field = |name: &str| {
        os_release
            .lines()
            .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.trim_matches('"')))
    };
    field("ID") == Some("debian") && field("VERSION_ID") == Some("12")
}

/// How root gets to run something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// We are root.
    Root,
    /// Through sudo, without a password or with somebody there to type it.
    Sudo,
    /// Not at all.
    None,
}

/// How this process can run something as root. Asks for no password.
pub fn privilege() -> Privilege {
    if rustix::process::geteuid().is_root() {
        return Privilege::Root;
    }
    let without_password = || {
        Command::new("sudo")
            .args(["--non-interactive", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if find_program("sudo").is_some() && (std::io::stdin().is_terminal() || without_password()) {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

/// `program`, to be run as root: through sudo where we aren't, with the variables `keep` of its environment.
/// `None` where there is no way.
pub fn as_root(program: &Path, keep: &[&str]) -> Option<Command> {
    match privilege() {
        Privilege::Root => Some(Command::new(program)),
        Privilege::None => None,
        Privilege::Sudo => {
            let mut sudo = Command::new("sudo");
            if !keep.is_empty() {
                sudo.arg(format!("--preserve-env={}", keep.join(",")));
            }
            sudo.arg("--").arg(program);
            Some(sudo)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::says_debian_12;

    #[test]
    fn debian_12_is_told_from_its_relatives() {
        assert!(says_debian_12("PRETTY_NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n"));
        assert!(!says_debian_12("VERSION_ID=\"13\"\nID=debian\n"));
        assert!(!says_debian_12("VERSION_ID=\"12\"\nID=devuan\nID_LIKE=debian\n"));
        assert!(!says_debian_12(""));
    }
}
