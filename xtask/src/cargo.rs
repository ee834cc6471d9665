//! Calling cargo, and learning what it built.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// cargo, at the root of the workspace.
pub fn cargo() -> Command {
    // The cargo that started us, and not rustup's proxy again: that one would change PATH, at which the kernel
    // program is rebuilt.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Runs a cargo command that builds, and returns the path of the executable `name`. Errors and progress go to
/// stderr, nothing to stdout.
pub fn executable(arguments: &[&str], name: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(arguments).arg("--message-format=json-render-diagnostics");
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("`cargo {}` failed ({})", arguments.join(" "), output.status);
    }
    find_executable(&String::from_utf8_lossy(&output.stdout), name)
        .with_context(|| format!("`cargo {}` built no executable named {name}", arguments.join(" ")))
}

fn find_executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some(name))
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::find_executable;

    #[test]
    fn a_library_of_the_same_name_is_not_taken() {
        let messages = r#"
            {"reason":"compiler-artifact","target":{"name":"a"},"executable":"/target/a"}
            {"reason":"compiler-artifact","target":{"name":"a"},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"b"},"executable":"/target/b"}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(find_executable(messages, "a"), Some("/target/a".into()));
        assert_eq!(find_executable(messages, "c"), None);
    }
}
