//! Debian's packages for virtual machines, of any architecture: fetched by an apt with a state of its own, which neither
//! asks nor changes what is installed here.

use crate::architecture::Architecture;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// See the module. Everything it keeps is below one folder.
pub struct Apt {
    folder: PathBuf,
    machines_own: Vec<Source>,
}

/// One of the archives that this machine's own apt uses.
struct Source {
    uri: String,
    suite: String,
    label: String,
}

impl Apt {
    /// Learns from this machine's apt where Debian's archives are.
    pub fn new(folder: &Path) -> Result<Self> {
        let format = "$(REPO_URI) $(RELEASE) $(LABEL)";
        let mut command = Command::new("apt-get");
        command.args(["indextargets", "--format", format, "Created-By: Packages", "Origin: Debian"]);
        let listed = stdout(&mut command)?;
        let mut machines_own: Vec<Source> = Vec::new();
        for line in listed.lines() {
            let [uri, suite, label] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
            if !machines_own.iter().any(|source| source.uri == uri && source.suite == suite) {
                let [uri, suite, label] = [uri, suite, label].map(str::to_owned);
                machines_own.push(Source { uri, suite, label });
            }
        }
        if machines_own.is_empty() {
            bail!("apt knows no archive of Debian; as root, type: apt-get update");
        }
        fs::create_dir_all(folder.join("lists/partial"))?;
        fs::write(folder.join("status"), "")?;
        Ok(Self { folder: folder.to_owned(), machines_own })
    }

    /// Fetches one package in one version from a suite of Debian's main archive; returns the file.
    pub fn fetch(&self, package: &str, version: &str, suite: &str, of: Architecture) -> Result<PathBuf> {
        let into = self.folder.join("packages");
        fs::create_dir_all(&into)?;
        // apt writes a version's colon as %3a.
        let name = format!("{package}_{}_{}.deb", version.replace(':', "%3a"), of.debian());
        let file = into.join(name);
        if !file.exists() {
            let main = self.machines_own.iter().find(|source| source.label == "Debian");
            let main = main.context("apt knows Debian's main archive by no source of this machine")?;
            let config = self.configure(suite, &format!("deb {} {suite} main\n", main.uri), of)?;
            update(&config)?;
            // Not there before it is whole.
            let fetched = tempfile::tempdir_in(&into)?;
            let wanted = format!("{package}={version}");
            let mut download = apt(&config, &["download", &wanted]);
            stdout(download.current_dir(&fetched)).with_context(|| {
                format!(
                    "{wanted} can't be had from Debian's {suite}; where that has a newer one only, name it in xtask/src/vm/kernels.json"
                )
            })?;
            let only = fs::read_dir(&fetched)?.flatten().next();
            fs::rename(only.with_context(|| format!("apt has fetched no {package}"))?.path(), &file)?;
        }
        Ok(file)
    }

    /// Fetches packages of this machine's own suites with all that they depend on, as if nothing was installed, into an empty
    /// folder. Returns all files.
    pub fn fetch_here(&self, packages: &[&str], of: Architecture, into: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir(into.join("partial"))?;
        let config = self.configure_here(of)?;
        let archives = format!("Dir::Cache::archives={}", into.display());
        let install = ["install", "--download-only", "--yes", "--no-install-recommends", "-o", &archives];
        stdout(&mut apt(&config, &[&install[..], packages].concat()))?;
        let files = fs::read_dir(into)?.flatten().map(|entry| entry.path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|its| its == "deb")).collect();
        files.sort();
        Ok(files)
    }

    /// Fetches one package of this machine's own suites, alone, into an empty folder.
    pub fn fetch_one_here(&self, package: &str, of: Architecture, into: &Path) -> Result<PathBuf> {
        let config = self.configure_here(of)?;
        stdout(apt(&config, &["download", package]).current_dir(into))?;
        let file = fs::read_dir(into)?.flatten().next();
        Ok(file.with_context(|| format!("apt has fetched no {package}"))?.path())
    }

    fn configure_here(&self, of: Architecture) -> Result<PathBuf> {
        let deb = |source: &Source| format!("deb {} {} main\n", source.uri, source.suite);
        let sources: String = self.machines_own.iter().map(deb).collect();
        let config = self.configure("here", &sources, of)?;
        update(&config)?;
        Ok(config)
    }

    /// Writes a configuration; returns its file.
    fn configure(&self, name: &str, sources: &str, of: Architecture) -> Result<PathBuf> {
        let (folder, architecture) = (self.folder.display(), of.debian());
        let path = self.folder.join(format!("{name}-{architecture}"));
        let (config, list) = (path.with_extension("conf"), path.with_extension("list"));
        fs::write(&list, sources)?;
        let text = format!(
            r#"Dir::State "{folder}";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "{}";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Get::List-Cleanup "false";
APT::Sandbox::User "";
Acquire::Languages "none";
"#,
            list.display()
        );
        fs::write(&config, text)?;
        Ok(config)
    }
}

fn apt(config: &Path, arguments: &[&str]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("APT_CONFIG", config).arg("--quiet").args(arguments).stdin(Stdio::null());
    apt
}

fn update(config: &Path) -> Result<()> {
    stdout(&mut apt(config, &["update"])).map(drop)
}

/// Runs a command to its end, and returns what it printed; an error has what it said.
pub fn stdout(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        bail!("`{name} {}` failed ({}): {said}", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
