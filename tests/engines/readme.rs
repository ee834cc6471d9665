//! The README's examples, typed as they stand there: what they print is what the README says they print.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    container_matrix::image,
    support::{self, Need, Trial, test},
};

pub const README: &str = include_str!("../../README.md");
const BEGIN: &str = "<!-- example: tests/engines/readme.rs runs this -->\n```console\n";
/// The first one leaves the container running.
const EXAMPLES: usize = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// The tests.
pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Docker, Need::Debootstrap, Need::Curl];
    vec![test("the_readmes_examples_do_what_they_say", needs, examples)]
}

/// What is typed, and what it prints.
struct Typed<'a> {
    command: &'a str,
    prints: Vec<&'a str>,
}

fn examples() -> Result<()> {
    let folder = support::temp_dir()?;
    let _web = MyWeb::make()?;
    let blocks: Vec<&str> = README.split(BEGIN).skip(1).collect();
    ensure!(blocks.len() == EXAMPLES, "README.md has {} examples", blocks.len());
    for (number, block) in blocks.into_iter().enumerate() {
        let (block, _) = block.split_once("```").context("README.md's example has no end")?;
        example(block, folder.path())?;
        if number == 0 {
            let page = "curl --silent --show-error --fail --retry 5 --retry-all-errors localhost:8080 --output /dev/null";
            run(page, folder.path()).context("the container under its profile serves nothing")?;
        }
    }
    Ok(())
}

/// Types what stands in a block of the README, and compares what is printed.
pub fn example(block: &str, folder: &Path) -> Result<()> {
    let typed: Vec<Typed<'_>> = block
        .split("$ ")
        .skip(1)
        .map(|part| {
            let mut lines = part.lines();
            Typed { command: lines.next().unwrap_or_default(), prints: lines.collect() }
        })
        .collect();
    for Typed { command, prints } in &typed {
        if let Some(file) = command.strip_prefix("cat ") {
            fs::write(folder.join(file), prints.join("\n") + "\n")?;
            continue;
        }
        let printed = run(command.replace("sudo ", "").as_str(), folder)?;
        // The last one starts the container for good: what it prints is its id.
        if !prints.is_empty() {
            let (printed, expected) = (plain(&printed), plain(&prints.join("\n")));
            ensure!(printed == expected, "{command}\nprinted:\n{printed}\nREADME.md says:\n{expected}");
        }
    }
    Ok(())
}

/// Runs a line in a shell that finds our program and the distribution's Docker; both streams as one.
fn run(line: &str, folder: &Path) -> Result<String> {
    let program = Path::new(support::program().get_program()).to_owned();
    let docker = Path::new(support::docker().get_program()).to_owned();
    let folders =
        [program.parent(), docker.parent()].map(|folder| folder.unwrap_or(Path::new("/")).to_owned());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path)))?;
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{{ {line}; }} 2>&1")]).env("PATH", path).current_dir(folder);
    let output = support::run_with_timeout(&mut shell, PATIENCE)?;
    let printed = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{line}: {}\n{printed}", output.status);
    Ok(printed)
}

/// Ids, counts and engines are another machine's.
fn plain(text: &str) -> String {
    let word = |word: &str| match word {
        id if is_id(id.trim_start_matches("sha256:")) => "ID".to_owned(),
        number if number.parse::<u32>().is_ok() => "N".to_owned(),
        other => other.to_owned(),
    };
    let line = |line: &str| match line.strip_prefix("note: found ") {
        Some(engines) if engines.contains("Docker ") => "note: found Docker".to_owned(),
        _ => line.split(' ').map(word).collect::<Vec<_>>().join(" "),
    };
    text.trim().lines().map(line).collect::<Vec<_>>().join("\n")
}

fn is_id(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The image `my-web`: the test image with nginx as its command. Removed with the container `web` at the end.
pub struct MyWeb;

impl MyWeb {
    /// Makes it.
    pub fn make() -> Result<Self> {
        let this = Self;
        let config =
            "events {} http { server { listen 80; root /usr/share/common-licenses; autoindex on; } }";
        let command = format!(
            "CMD [\"/bin/sh\", \"-c\", \"echo '{config}' > /tmp/nginx.conf && exec nginx -c /tmp/nginx.conf -g 'daemon off;'\"]"
        );
        let base = docker(&["create", image::name()?, "true"])?;
        let made = docker(&["commit", "--change", &command, base.trim(), "my-web"]);
        docker(&["rm", base.trim()])?;
        made.map(|_| this)
    }
}

impl Drop for MyWeb {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", "web"]);
        let _ = docker(&["image", "rm", "--force", "my-web"]);
    }
}

fn docker(arguments: &[&str]) -> Result<String> {
    let output = support::run_with_timeout(support::docker().args(arguments), PATIENCE)?;
    ensure!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
