//! A real terminal: tmux, whose keys are typed and whose screen is read by the test.

use super::{run_with_timeout, temp_dir};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// By then everything is on the screen that will be, in a virtual machine, too.
const PATIENCE: Duration = Duration::from_secs(180);

/// A terminal of its own, gone with the value.
pub struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// Runs a shell's script in a terminal of so many columns and rows, with these variables. The script's end is followed by
    /// the line `status N`, and the terminal stays.
    pub fn start(script: &str, size: (u16, u16), variables: &[(&str, &str)]) -> Result<Self> {
        let terminal = Self { folder: temp_dir()? };
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let mut words: Vec<String> =
            ["new-session", "-d", "-x", &columns, "-y", &rows].map(str::to_owned).to_vec();
        for (name, value) in variables {
            words.extend(["-e".to_owned(), format!("{name}={value}")]);
        }
        words.push(format!("{script}\necho status $?\nwhile read line; do eval \"$line\"; done"));
        terminal.tmux(&words)?;
        Ok(terminal)
    }

    fn tmux(&self, words: &[impl AsRef<std::ffi::OsStr>]) -> Result<String> {
        let socket = self.folder.path().join("tmux");
        let mut command = Command::new("tmux");
        // UTF-8 always: what the program may print is decided by the variables given to it.
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(socket).args(words);
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        let output = run_with_timeout(&mut command, PATIENCE)?;
        ensure!(output.status.success(), "tmux: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Types keys, by tmux' names of them.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        self.tmux(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// Types text.
    pub fn enter(&self, text: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", text]).map(drop)
    }

    /// What is on the screen.
    pub fn screen(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The same, with the sequences that style it.
    pub fn styled(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// One of tmux' variables of it.
    pub fn variable(&self, name: &str) -> Result<String> {
        Ok(self.tmux(&["display-message", "-p", &format!("#{{{name}}}")])?.trim().to_owned())
    }

    /// Another size.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]).map(drop)
    }

    /// Waits until the screen is as wanted, and returns it.
    pub fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen()?;
            if is_there(&screen) {
                return Ok(screen);
            }
            if Instant::now() > end {
                bail!("{what} never came; the screen is\n{screen}");
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until a text is on the screen, and returns that.
    pub fn wait_for(&self, text: &str) -> Result<String> {
        self.wait(&format!("{text:?}"), |screen| screen.contains(text))
    }

    /// Waits for the script's end. The terminal must be as it was.
    pub fn ended(&self, status: i32) -> Result<String> {
        let screen = self.wait_for(&format!("status {status}"))?;
        ensure!(self.variable("alternate_on")? == "0", "the alternate screen is still on:\n{screen}");
        ensure!(self.variable("cursor_flag")? == "1", "the cursor is hidden:\n{screen}");
        ensure!(self.variable("mouse_any_flag")? == "0", "the mouse is still taken:\n{screen}");
        self.enter(
            "stty -a | grep -e '-icanon' -e '-isig' -e '-echo ' && echo it is raw || echo it is sane\n",
        )?;
        self.wait_for("\nit is sane").with_context(|| screen.clone())?;
        Ok(screen)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}
