//! The licences of what is linked into the program: crates, the C library, and Rust's own.

use super::build::Build;
use super::output;
use crate::cargo;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What we make and what runs in the kernel.
const ROOTS: [&str; 2] = ["seccomp-trace", "seccomp-trace-ebpf"];
/// How files with licences are called, in small letters.
const BEGINNINGS: [&str; 5] = ["license", "licence", "copying", "copyright", "notice"];
/// glibc is under the LGPL, which asks that it can be replaced: with the sources, by the same command.
const INTRODUCTION: &str = "\
The program contains the work of others, under the licences below, and Rust's standard library, whose licences are in
LICENSES-OF-RUST.

The GNU C Library in it is under the LGPL, version 2.1 or later: the sources of this program, with which it is linked
again to another version of that library by `cargo xtask dist`, come under the terms of the file LICENSE.
";
/// Debian's, for what gcc links in.
const C_LIBRARIES: [(&str, &str); 2] = [
    ("the GNU C Library", "/usr/share/doc/libc6-dev/copyright"),
    ("the GCC runtime library", "/usr/share/doc/libgcc-12-dev/copyright"),
];

/// The part of `cargo metadata` that we read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None` is a usual dependency; others are for tests and build scripts.
    kind: Option<String>,
}

/// Collects them, each text once, with all whose licence it is.
///
/// # Errors
/// Where something has no text.
pub fn collect(build: &Build) -> Result<String> {
    let mut command = cargo::cargo();
    command.current_dir(build.root).args(["metadata", "--format-version", "1", "--locked"]);
    let metadata: Metadata =
        serde_json::from_slice(&output(command.args(["--filter-platform", build.target.triple()]))?)?;
    let packages = linked(&metadata);
    // The text is the key.
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in &packages {
        let licence = package.license.as_deref().unwrap_or("see below");
        let label = format!("{} {} ({licence})", package.name, package.version);
        for text in texts_of(package, &packages)? {
            texts.entry(text).or_default().insert(label.clone());
        }
    }
    for (name, path) in C_LIBRARIES {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        texts.entry(text).or_default().insert(name.to_owned());
    }
    let mut parts: Vec<(Vec<String>, String)> =
        texts.into_iter().map(|(text, of)| (of.into_iter().collect(), text)).collect();
    parts.sort();
    let mut all = INTRODUCTION.to_owned();
    for (of, text) in parts {
        all += &format!("\n{}\n{}\n\n{}\n", "=".repeat(80), of.join("\n"), text.trim());
    }
    Ok(all)
}

/// The crates of others on which [`ROOTS`] depend, and those on which these do.
fn linked(metadata: &Metadata) -> Vec<&Package> {
    let packages: HashMap<&str, &Package> = metadata.packages.iter().map(|p| (p.id.as_str(), p)).collect();
    let nodes: HashMap<&str, &Node> = metadata.resolve.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
    let is_root = |package: &&Package| package.source.is_none() && ROOTS.contains(&package.name.as_str());
    let mut next: Vec<&str> = metadata.packages.iter().filter(is_root).map(|p| p.id.as_str()).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = next.pop() {
        if found.insert(id)
            && let Some(node) = nodes.get(id)
        {
            let usual = node.deps.iter().filter(|to| to.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            next.extend(usual.map(|to| to.pkg.as_str()));
        }
    }
    found.into_iter().filter_map(|id| packages.get(id).copied()).filter(|p| p.source.is_some()).collect()
}

/// Its own files, or those of a crate of the same repository and licence.
fn texts_of(package: &Package, all: &[&Package]) -> Result<Vec<String>> {
    let own = files(package)?;
    if !own.is_empty() {
        return Ok(own);
    }
    let is_relative = |other: &&&Package| {
        let is_neighbour = other.repository.is_some() && other.repository == package.repository;
        let is_parent = package.name.strip_prefix(&other.name).is_some_and(|rest| rest.starts_with('-'));
        other.license == package.license && (is_neighbour || is_parent)
    };
    for relative in all.iter().filter(is_relative) {
        let texts = files(relative)?;
        if !texts.is_empty() {
            return Ok(texts);
        }
    }
    bail!("the crate {} has no licence's text, and no relative that has one", package.name)
}

fn files(package: &Package) -> Result<Vec<String>> {
    let folder = package.manifest_path.parent().unwrap_or(Path::new("/"));
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) && path.is_file() {
            let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            texts.push(String::from_utf8_lossy(&text).replace('\r', ""));
        }
    }
    Ok(texts)
}

/// Those of Rust's standard library, from the compiler that builds: Debian's for another machine.
pub fn of_rust(build: &Build) -> Result<PathBuf> {
    if !build.target.is_here() {
        return Ok("/usr/share/doc/rustc-web/copyright".into());
    }
    let sysroot = output(Command::new(cargo::rustc()).args(["--print", "sysroot"]))?;
    Ok(Path::new(String::from_utf8(sysroot)?.trim()).join("share/doc/rust/COPYRIGHT-library.html"))
}
