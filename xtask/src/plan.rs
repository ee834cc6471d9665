//! A list of commands that install something: shown before it is carried out, and shown again, to be typed by
//! hand, where it can't be.

use crate::host::{Privilege, privilege};
use anyhow::{Result, bail};
use std::fmt;
use std::process::{Command, Stdio};

/// What is to be installed, and the commands that do it.
#[derive(Debug, Default)]
pub struct Plan {
    /// What will be installed, one line each.
    pub installs: Vec<String>,
    /// The commands, in order.
    pub steps: Vec<Step>,
}

/// One command of a plan.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// As root.
    pub root: bool,
    /// The plan goes on when this one fails: a later step shows whether it mattered.
    pub optional: bool,
    /// Variables, the program and its arguments, as typed in a shell.
    pub words: Vec<String>,
}

impl Step {
    /// A command that the user runs.
    pub fn user(line: &str) -> Self {
        Self { root: false, optional: false, words: line.split_whitespace().map(String::from).collect() }
    }

    /// A command that root runs.
    pub fn root(line: &str) -> Self {
        Self { root: true, ..Self::user(line) }
    }

    fn run(&self, privilege: Privilege) -> Result<()> {
        let mut words = vec!["env"];
        if self.root && privilege == Privilege::Sudo {
            words.insert(0, "sudo");
        }
        words.extend(self.words.iter().map(String::as_str));
        let [program, arguments @ ..] = words.as_slice() else { bail!("an empty command") };
        eprintln!("+ {self}");
        // What this prints is about the work: a task's stdout may be a profile.
        let status =
            Command::new(program).args(arguments).stdin(Stdio::null()).stdout(std::io::stderr()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => bail!("`{self}` failed ({status})"),
            Err(error) => bail!("`{self}` does not start: {error}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.root { "sudo " } else { "" }, self.words.join(" "))
    }
}

impl Plan {
    /// Shows what will be installed, then installs it. An error names the commands that are left to type.
    pub fn carry_out(&self) -> Result<()> {
        eprintln!("This will be installed:");
        for line in &self.installs {
            eprintln!("  {line}");
        }
        let privilege = privilege();
        if privilege == Privilege::None && self.steps.iter().any(|step| step.root) {
            bail!("that needs root, and here is neither root nor a usable sudo; {}", self.by_hand(0));
        }
        for (index, step) in self.steps.iter().enumerate() {
            match step.run(privilege) {
                Err(error) if !step.optional => bail!("{error:#}; {}", self.by_hand(index)),
                Err(error) => eprintln!("warning: {error:#}"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn by_hand(&self, from: usize) -> String {
        let steps: Vec<String> = self.steps.iter().skip(from).map(|step| format!("    {step}")).collect();
        format!("to go on by hand, type:\n{}", steps.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, Step};

    #[test]
    fn a_failed_step_names_itself_and_what_is_left() {
        let steps = vec![Step::user("true"), Step::user("false"), Step::user("echo later")];
        let error = Plan { installs: vec![], steps }.carry_out().unwrap_err().to_string();
        assert!(error.starts_with("`false` failed"), "{error}");
        assert!(error.ends_with("type:\n    false\n    echo later"), "{error}");
    }

    #[test]
    fn an_optional_step_may_fail() {
        let steps = vec![Step { optional: true, ..Step::user("false") }, Step::user("A=b true")];
        Plan { installs: vec![], steps }.carry_out().unwrap();
    }
}
