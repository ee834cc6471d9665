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

/// The compiler of that cargo.
pub fn rustc() -> PathBuf {
    std::env::var_os("CARGO")
        .map_or_else(|| "rustc".into(), |cargo| Path::new(&cargo).with_file_name("rustc"))
}

/// Runs a cargo command that builds, and returns the path of the executable `name`. Errors and progress go to
/// stderr, nothing to stdout.
pub fn executable(arguments: &[&str], name: &str) -> Result<PathBuf> {
    executables(cargo(), arguments, [name]).map(|[path]| path)
}

/// As [`executable`], by this cargo, of several executables.
pub fn executables<const N: usize>(
    command: Command,
    arguments: &[&str],
    names: [&str; N],
) -> Result<[PathBuf; N]> {
    let messages = messages(command, arguments)?;
    let mut paths = std::array::from_fn(|_| PathBuf::new());
    for (path, name) in paths.iter_mut().zip(names) {
        *path = find_executable(&messages, name)
            .with_context(|| format!("`cargo {}` built no executable named {name}", arguments.join(" ")))?;
    }
    Ok(paths)
}

/// Runs `command`, which is cargo, and returns what it says of what it builds: a JSON object a line.
pub fn messages(mut command: Command, arguments: &[&str]) -> Result<String> {
    command.args(arguments).arg("--message-format=json-render-diagnostics");
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("`cargo {}` failed ({})", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The executable `name` among what was built.
pub fn find_executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some(name))
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
}

/// The folder that the build script of the package `name` has filled.
pub fn find_build_folder(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/reason").and_then(Value::as_str) == Some("build-script-executed"))
        // path+file:///folder/NAME#VERSION
        .filter(|message| {
            let id = message.pointer("/package_id").and_then(Value::as_str).unwrap_or_default();
            id.split_once('#').is_some_and(|(path, _)| path.ends_with(&format!("/{name}")))
        })
        .filter_map(|message| message.get("out_dir")?.as_str().map(PathBuf::from))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::{find_build_folder, find_executable};

    #[test]
    fn a_build_script_is_found_by_its_package() {
        let messages = r#"
            {"reason":"build-script-executed","package_id":"registry+https://x#a@1.0.0","out_dir":"/target/1"}
            {"reason":"build-script-executed","package_id":"path+file:///w/a#0.1.0","out_dir":"/target/2"}
            {"reason":"build-script-executed","package_id":"path+file:///w/not-a#0.1.0","out_dir":"/target/3"}"#;
        assert_eq!(find_build_folder(messages, "a"), Some("/target/2".into()));
        assert_eq!(find_build_folder(messages, "b"), None);
    }

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
