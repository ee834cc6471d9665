//! The OCI runtime specification's `linux.seccomp` as JSON (`schema/defs-linux.json` there).
//!
//! Two things are written for old readers: Docker 20.10 ignores `defaultErrnoRet` (its own default is
//! the same EPERM), so an errno other than that stands in a rule; and a rule that allows has no
//! `errnoRet`, which crun refuses there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::abi::Abi;
use crate::profile::Profile;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    default_action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_errno_ret: Option<u32>,
    architectures: Vec<&'static str>,
    syscalls: Vec<Rule<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'a> {
    names: Vec<&'a str>,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno_ret: Option<u32>,
}

/// The profile as OCI JSON: one rule for all that is allowed, one for each errno, names sorted.
pub fn write(profile: &Profile) -> String {
    let mut by_errno: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (name, (errno, _)) in &profile.errno {
        by_errno.entry(*errno).or_default().push(name);
    }
    let allowed: Vec<&str> = profile.allowed.keys().map(String::as_str).collect();
    // The specification wants at least one name in a rule.
    let allow =
        (!allowed.is_empty()).then_some(Rule { names: allowed, action: "SCMP_ACT_ALLOW", errno_ret: None });
    let errnos = by_errno.into_iter().map(|(errno, names)| Rule {
        names,
        action: "SCMP_ACT_ERRNO",
        errno_ret: Some(errno),
    });
    text(&Document {
        default_action: "SCMP_ACT_ERRNO",
        default_errno_ret: Some(profile.default_errno),
        architectures: profile.architectures.iter().map(|abi| abi.seccomp_arch()).collect(),
        syscalls: allow.into_iter().chain(errnos).collect(),
    })
}

/// The profile that allows everything from all `abis`: under it a container has a filter, which marks
/// from where on its calls count, and is denied nothing. An ABI left out would be killed.
pub fn tracing_profile(abis: &[Abi]) -> String {
    text(&Document {
        default_action: "SCMP_ACT_ALLOW",
        default_errno_ret: None,
        architectures: abis.iter().map(|abi| abi.seccomp_arch()).collect(),
        syscalls: Vec::new(),
    })
}

/// The names that a profile allows; none where it is no profile, or allows everything.
pub fn allowed(profile: &[u8]) -> Option<BTreeSet<String>> {
    let profile: Value = serde_json::from_slice(profile).ok()?;
    let is_allowing =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str) == Some("SCMP_ACT_ALLOW");
    if profile.get("defaultAction").is_none() || is_allowing(&profile, "defaultAction") {
        return None;
    }
    let rules = profile.get("syscalls")?.as_array()?.iter().filter(|rule| is_allowing(rule, "action"));
    let names = rules.filter_map(|rule| rule.get("names")?.as_array()).flatten();
    Some(names.filter_map(Value::as_str).map(str::to_owned).collect())
}

fn text(document: &Document<'_>) -> String {
    #[expect(clippy::expect_used, reason = "structs of strings and numbers always serialise")]
    let mut text = serde_json::to_string_pretty(document).expect("an OCI profile is JSON");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{ENOSYS, EPERM, Reason};
    use crate::recording::Origin;

    fn profile(allowed: &[&str], errno: &[&str]) -> Profile {
        let allowed = allowed.iter().map(|name| ((*name).to_owned(), [Reason::Seen(Origin::Runtime)].into()));
        let errno = errno.iter().map(|name| ((*name).to_owned(), (ENOSYS, Reason::CloneFallback)));
        Profile {
            default_errno: EPERM,
            architectures: [Abi::I386, Abi::X86_64].into(),
            allowed: allowed.collect(),
            errno: errno.collect(),
            over_allowed: BTreeMap::new(),
        }
    }

    #[test]
    fn a_profile() {
        insta::assert_snapshot!(write(&profile(&["write", "clone", "execve"], &["clone3"])), @r#"
        {
          "defaultAction": "SCMP_ACT_ERRNO",
          "defaultErrnoRet": 1,
          "architectures": [
            "SCMP_ARCH_X86_64",
            "SCMP_ARCH_X86"
          ],
          "syscalls": [
            {
              "names": [
                "clone",
                "execve",
                "write"
              ],
              "action": "SCMP_ACT_ALLOW"
            },
            {
              "names": [
                "clone3"
              ],
              "action": "SCMP_ACT_ERRNO",
              "errnoRet": 38
            }
          ]
        }
        "#);
    }

    #[test]
    fn the_tracing_profile_lists_every_abi_and_denies_nothing() {
        insta::assert_snapshot!(tracing_profile(Abi::of_machine("x86_64").unwrap()), @r#"
        {
          "defaultAction": "SCMP_ACT_ALLOW",
          "architectures": [
            "SCMP_ARCH_X86_64",
            "SCMP_ARCH_X86",
            "SCMP_ARCH_X32"
          ],
          "syscalls": []
        }
        "#);
    }

    #[test]
    fn it_ends_with_one_newline_and_has_no_empty_rule() {
        let text = write(&profile(&[], &["clone3"]));
        assert!(text.ends_with("}\n") && !text.ends_with("\n\n"));
        assert!(!text.contains("SCMP_ACT_ALLOW"));
    }
}
