//! A target that ran before: what is missing of it, and the exact command that has it made again under observation.

use procfs::process::Process;

use super::recorder::Record;
use crate::{cli::session::RecordingId, inspect::cgroup::Hierarchy};

impl Record<'_> {
    /// Says that a container was running before. `restart` starts it anew.
    pub fn say_late(&mut self, subject: RecordingId, name: &str, restart: Option<&[String]>) {
        let restart = restart.map(|words| format!(": {}", shell(words))).unwrap_or_default();
        self.warn_late(subject, name, &format!("to have all, start it anew while this runs{restart}"));
    }

    /// Says that a cgroup without an engine was in use before.
    pub fn say_cgroup_late(&mut self, subject: RecordingId, path: &str) {
        if let Some(unit) = self.resolved.units.get(path).cloned() {
            return self.say_late(subject, &unit, Some(&["systemctl", "restart", &unit].map(str::to_owned)));
        }
        let run = first_command(&self.hierarchy, path).map(|argv| {
            let run = ["seccomp-trace", "run", "-o", "profile.json", "--"].map(str::to_owned);
            format!(", such as: {}", shell(&run.into_iter().chain(argv).collect::<Vec<_>>()))
        });
        let run = run.unwrap_or_default();
        self.warn_late(
            subject,
            path,
            &format!("to have all, end what runs there, and start it under observation{run}"),
        );
    }

    /// At once, while it can still be started anew; the recording has it in the same words.
    fn warn_late(&mut self, subject: RecordingId, name: &str, advice: &str) {
        let message = format!(
            "it was running before (attached late): what it has called already is not in the recording; {advice}"
        );
        self.printer.warn_once(&format!("{name}: {message}"));
        if let Some(subject) = self.session.subject(subject) {
            subject.builder.warn("attached-late", message);
        }
    }
}

/// The command of the oldest process of a cgroup.
fn first_command(hierarchy: &Hierarchy, path: &str) -> Option<Vec<String>> {
    let first = hierarchy.tree(path).iter().flat_map(|path| hierarchy.processes(path)).min()?;
    Process::new(first).and_then(|process| process.cmdline()).ok().filter(|argv| !argv.is_empty())
}

/// Words as a shell reads them.
fn shell(words: &[String]) -> String {
    // Only a zero byte can't be quoted, and no argument has one.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}
