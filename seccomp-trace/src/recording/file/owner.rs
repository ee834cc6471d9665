//! Whose files are ours to replace, and whose a new one is.

use rustix::process::geteuid;

/// Whose files and links are taken as they are, wherever they lie: ours, root's, and those of the user
/// who typed sudo.
#[derive(Debug)]
pub(super) struct Trusted(pub Vec<u32>);

impl Trusted {
    pub fn of_process() -> Self {
        let mut users = vec![geteuid().as_raw(), 0];
        users.extend(sudo_user().map(|(user, _)| user));
        Self(users)
    }

    pub fn has(&self, user: u32) -> bool {
        self.0.contains(&user)
    }
}

/// The user and group who typed sudo, if we are root through it.
pub(super) fn sudo_user() -> Option<(u32, u32)> {
    let id = |name| std::env::var(name).ok()?.parse().ok();
    geteuid().is_root().then_some(())?;
    Some((id("SUDO_UID")?, id("SUDO_GID")?))
}
