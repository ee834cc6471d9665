//! The ways to start a container, as far as they change what a runtime calls.

use super::table::Variant;

/// One way: as whom, with what, by which commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The user's id, and the group's.
    pub user: u32,
    /// Whether setuid programs are to do nothing: the runtime then loads the filter as its last act.
    pub no_new_privileges: bool,
    /// Whether by `create` and `start`, as engines do; else by `run`.
    pub in_two_steps: bool,
}

impl Way {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..8_u32).map(|bits| Self {
            user: if bits & 1 == 0 { 0 } else { 1000 },
            no_new_privileges: bits & 2 != 0,
            in_two_steps: bits & 4 != 0,
        })
    }

    /// The entry of the table to which it belongs.
    pub fn variant(self) -> Variant {
        match (self.no_new_privileges, self.user) {
            (true, _) => Variant::NoNewPrivileges,
            (false, 0) => Variant::Default,
            (false, _) => Variant::User,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_is_started_in_both_ways() {
        for variant in [Variant::Default, Variant::User, Variant::NoNewPrivileges] {
            let ways: Vec<_> = Way::all().filter(|way| way.variant() == variant).collect();
            assert!(ways.iter().any(|way| way.in_two_steps), "{variant}");
            assert!(ways.iter().any(|way| !way.in_two_steps), "{variant}");
        }
        assert_eq!(Way::all().count(), 8);
    }
}
