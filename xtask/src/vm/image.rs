//! What is in a virtual machine: Debian's programs that the tests use, the tests themselves, and a first process.

use super::apt::{Apt, stdout};
use super::machine::ROOT;
use crate::architecture::Architecture;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's packages in it; with what they depend on.
const PACKAGES: [&str; 19] = [
    "base-passwd",
    "bash",
    "bsdutils",
    "busybox-static",
    "coreutils",
    "crun",
    "dash",
    "findutils",
    "grep",
    "libc-bin",
    "mawk",
    "ncurses-base",
    "procps",
    "runc",
    "sed",
    "strace",
    "systemd",
    "tmux",
    "util-linux",
];
/// Needed by their installation alone.
const NOT_UNPACKED: [&str; 7] = ["debconf_", "dpkg_", "libperl", "perl", "tar_", "usrmerge_", "gcc-12-base_"];
const LEFT_OUT: [&str; 5] =
    ["./usr/share/doc*", "./usr/share/man*", "./usr/share/locale*", "./usr/share/info*", "./usr/lib/*/gconv"];

/// The first process.
const INIT: &str = include_str!("init.sh");

/// Makes the archive of Debian's programs, where it isn't there; returns its path.
pub fn base(folder: &Path, apt: &Apt, architecture: Architecture) -> Result<PathBuf> {
    let name = architecture.name();
    let archive = folder.join(format!("debian-{name}.cpio"));
    // What it was made of stands beside it.
    let (contents, list) = (PACKAGES.join("\n"), archive.with_extension("packages"));
    if archive.exists() && fs::read_to_string(&list).is_ok_and(|text| text == contents) {
        return Ok(archive);
    }
    eprintln!("vm: fetching Debian's programs for {name}");
    let root = folder.join(format!("debian-{name}"));
    tree(&root, apt, &PACKAGES, architecture)?;
    // Made by an installation, which this is none.
    symlink("mawk", root.join("usr/bin/awk"))?;
    pack(&root, &archive)?;
    fs::remove_dir_all(root)?;
    fs::write(list, contents)?;
    Ok(archive)
}

/// Fetches `packages` with all that they depend on, and unpacks them as a root folder, made anew.
pub fn tree(root: &Path, apt: &Apt, packages: &[&str], architecture: Architecture) -> Result<()> {
    let fetched = tempfile::tempdir().context("cannot make a folder for packages")?;
    let packages = apt.fetch_here(packages, architecture, fetched.path())?;
    let _ = fs::remove_dir_all(root);
    for directory in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(directory))?;
        symlink(format!("usr/{directory}"), root.join(directory))?;
    }
    for package in packages {
        let file = package.file_name().unwrap_or_default().to_string_lossy();
        if !NOT_UNPACKED.iter().any(|name| file.starts_with(name)) {
            unpack(&package, root, &["--keep-directory-symlink"], &LEFT_OUT)?;
        }
    }
    Ok(())
}

/// Unpacks a Debian package into a folder: all of it but `left_out`.
pub fn unpack(package: &Path, into: &Path, options: &[&str], left_out: &[&str]) -> Result<()> {
    fs::create_dir_all(into)?;
    let mut files = Command::new("dpkg").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
    let from = files.stdout.take().context("no tar file")?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--no-same-owner").args(options).arg("--directory").arg(into);
    tar.args(left_out.iter().map(|pattern| format!("--exclude={pattern}")));
    let status = tar.stdin(from).status().context("cannot start tar")?;
    if !files.wait()?.success() || !status.success() {
        bail!("{} can't be unpacked", package.display());
    }
    Ok(())
}

/// Makes an archive for the kernel of a folder. All in it is root's.
fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let half = archive.with_extension("half");
    let script =
        r#"find . -print0 | LC_ALL=C sort -z | cpio --quiet --null --create --format=newc --owner=0:0 >"$0""#;
    stdout(Command::new("sh").args(["-c", script]).arg(&half).current_dir(folder))?;
    fs::rename(half, archive).with_context(|| format!("cannot write {}", archive.display()))
}

/// A kernel, and the modules of its package that a machine needs to talk to its host.
pub struct Kernel {
    /// For QEMU.
    pub image: PathBuf,
    modules: Vec<PathBuf>,
}

/// Takes a kernel out of its package.
pub fn kernel(folder: &Path, package: &Path) -> Result<Kernel> {
    let into = folder.join("kernels").join(package.file_stem().unwrap_or_default());
    if !into.exists() {
        let half = into.with_extension("half");
        let _ = fs::remove_dir_all(&half);
        unpack(package, &half, &[], &["./usr/share", "./boot/System.map*"])?;
        fs::rename(&half, &into)?;
    }
    let files = files(&into)?;
    let named = |path: &&PathBuf, name: &str| {
        path.file_name().is_some_and(|its| its.to_string_lossy().starts_with(name))
    };
    let image = files.iter().find(|path| named(path, "vmlinuz"));
    let image = image.with_context(|| format!("{} has no vmlinuz", package.display()))?.clone();
    let modules =
        files.iter().filter(|path| named(path, "virtio") && path.extension().is_some_and(|its| its == "ko"));
    let modules = modules.cloned().collect();
    Ok(Kernel { image, modules })
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    Ok(files)
}

/// Makes the initial root of a machine, in the folder of its own files: Debian's programs, and `programs` where they are here,
/// without what debuggers need. `script` is run by a shell, and its status is the machine's.
pub fn root(
    own_folder: &Path,
    base: &Path,
    kernel: &Kernel,
    architecture: Architecture,
    programs: &[PathBuf],
    script: &str,
) -> Result<()> {
    let own = tempfile::tempdir().context("cannot make a folder for a machine's files")?;
    // It becomes the root folder, into which others than root look, too.
    fs::set_permissions(own.path(), fs::Permissions::from_mode(0o755))?;
    let place = |path: &Path| own.path().join(path.strip_prefix("/").unwrap_or(path));
    for program in programs {
        let to = place(program);
        fs::create_dir_all(to.parent().context("a program without a folder")?)?;
        stdout(Command::new(architecture.strip()).arg("-o").args([&to, program]))?;
    }
    fs::create_dir(place(Path::new("/modules")))?;
    for module in &kernel.modules {
        let name = module.file_name().context("a module without a name")?;
        fs::copy(module, own.path().join("modules").join(name))?;
    }
    fs::write(place(Path::new("/tests.sh")), script)?;
    let init = place(Path::new("/init"));
    fs::write(&init, INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let archive = own_folder.join("own.cpio");
    pack(own.path(), &archive)?;
    // The kernel takes archives one after another.
    let mut to = File::create(own_folder.join(ROOT))?;
    for part in [base, archive.as_path()] {
        io::copy(&mut File::open(part)?, &mut to)?;
    }
    to.flush()?;
    Ok(fs::remove_file(archive)?)
}
