//! The real programs: how each is started, what is asked of it, and what it can't do without.
//! An exercise asks the same each time, and its outcome has nothing in it that differs between two good
//! runs: no times, no process ids, no order of concurrent things.

mod http;
mod nginx;
mod python;
mod redis;
mod shell;

use std::sync::OnceLock;

use anyhow::Result;

pub use nginx::NGINX;
pub use python::PYTHON;
pub use redis::REDIS;
pub use shell::SHELL;

use super::container::Container;
use super::record::Recorded;

/// A program of the test image.
pub struct Program {
    /// Its name, as the tests' names and the messages say it.
    pub name: &'static str,
    /// What `docker run` is told besides the profile.
    pub options: &'static [&'static str],
    /// The container's command.
    pub argv: &'static [&'static str],
    /// Makes the program do its work, and waits for its end.
    pub exercise: fn(&Container) -> Result<Outcome>,
    /// Calls that its own work needs and that no runtime makes: without any of them, it starts, but
    /// doesn't do the same.
    pub needs: [&'static str; 3],
    /// See [`record::shared`](super::record::shared).
    pub recorded: OnceLock<Result<Recorded, String>>,
}

/// What an exercise saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code of the container.
    pub exit: i32,
    /// Everything that the program answered and printed.
    pub output: Vec<u8>,
}

impl Outcome {
    /// What is not the same, for a person; nothing where both are.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.exit != other.exit {
            return Some(format!("exit code {} instead of {}", other.exit, self.exit));
        }
        if self.output == other.output {
            return None;
        }
        let lines = |outcome: &Self| -> Vec<String> {
            String::from_utf8_lossy(&outcome.output).lines().map(str::to_owned).collect()
        };
        let (ours, theirs) = (lines(self), lines(other));
        let at = ours.iter().zip(&theirs).take_while(|(our, their)| our == their).count();
        let line = |lines: &[String]| {
            lines.get(at).map_or("the end".to_owned(), |line| {
                format!("{:?}", line.chars().take(200).collect::<String>())
            })
        };
        Some(format!("output line {}: {} instead of {}", at + 1, line(&theirs), line(&ours)))
    }
}

/// The exercise of a program that works by itself: its standard output and its exit code.
fn until_it_ends(container: &Container) -> Result<Outcome> {
    let exit = container.wait()?;
    Ok(Outcome { exit, output: container.logs()?.stdout })
}
