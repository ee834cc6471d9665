//! `--user`: as whom a command runs.

use std::str::FromStr;

use thiserror::Error;

use crate::inspect::accounts::UNKNOWN;

/// A user with all groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub uid: u32,
    /// The primary group's id.
    pub gid: u32,
    /// All groups' ids.
    pub groups: Vec<u32>,
}

/// Why a user can't be taken.
#[derive(Debug, Error)]
pub enum UserError {
    /// There is none of this name.
    #[error("no user {0:?} {UNKNOWN}; a number is taken as it is: UID or UID:GID")]
    Unknown(String),
}

impl FromStr for User {
    type Err = UserError;

    /// `NAME`, `UID` or `UID:GID`.
    fn from_str(given: &str) -> Result<Self, UserError> {
        let unknown = || UserError::Unknown(given.to_owned());
        if let Some((uid, gid)) = given.split_once(':') {
            let (uid, gid) = (uid.parse().map_err(|_| unknown())?, gid.parse().map_err(|_| unknown())?);
            return Ok(Self { uid, gid, groups: vec![gid] });
        }
        let known = given.parse().map_or_else(|_| uzers::get_user_by_name(given), uzers::get_user_by_uid);
        match (known, given.parse()) {
            (Some(user), _) => {
                let groups = user.groups().unwrap_or_default().iter().map(uzers::Group::gid).collect();
                Ok(Self { uid: user.uid(), gid: user.primary_group_id(), groups })
            }
            // As docker's --user: a number needs no entry in passwd.
            (None, Ok(uid)) => Ok(Self { uid, gid: uid, groups: vec![uid] }),
            (None, Err(_)) => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_taken() {
        assert_eq!("root".parse::<User>().unwrap().uid, 0);
        assert_eq!("0".parse::<User>().unwrap().gid, 0);
        assert_eq!("12345:77".parse::<User>().unwrap(), User { uid: 12345, gid: 77, groups: vec![77] });
        let error = "nobody-of-this-name".parse::<User>().unwrap_err().to_string();
        assert!(error.contains("nobody-of-this-name"), "{error}");
    }
}
