//! `cargo xtask measure-runtimes`: what the runtimes of this machine call between loading a container's filter and
//! its command's execve, counted over many starts, and written into the program's table.

mod bundle;
mod runtime;
mod sets;
#[path = "../../../seccomp-trace/src/tables/runtimes/table.rs"]
#[allow(dead_code, reason = "the program uses all of it")]
mod table;
mod trace;
mod way;

use crate::{build, cargo, host};
use anyhow::{Context as _, Result, bail};
use bundle::Bundles;
use runtime::Runtime;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use table::{RuntimeSet, RuntimeTable, Variant};
use trace::Trace;
use way::Way;

const TABLE: &str = "seccomp-trace/src/tables/runtimes.json";
/// Below the root of cgroup v2.
const CGROUP: &str = "seccomp-trace-measure";

/// The arguments of `cargo xtask measure-runtimes`.
#[derive(clap::Args)]
pub struct Args {
    /// How often each runtime starts a container in each way.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Prints what is new, and leaves the table as it is.
    #[arg(long)]
    dry_run: bool,
}

/// Measures, rewrites the table, and prints how it differs from what is documented.
pub fn run(args: &Args) -> Result<()> {
    if host::privilege() != host::Privilege::Root {
        bail!("runtimes start containers as root alone; as root, type: cargo xtask measure-runtimes");
    }
    let program = build::program(false)?;
    let folder = tempfile::Builder::new().prefix("seccomp-trace-measure.").tempdir()?;
    let bundles = Bundles::new(folder.path(), filter(&program)?)?;
    let path = cargo::root().join(TABLE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut table: RuntimeTable = serde_json::from_str(&text).context(TABLE)?;
    let mut measured = Vec::new();
    for name in ["crun", "runc"] {
        let Some(runtime) = Runtime::find(name)? else {
            eprintln!("warning: {name} is not here, so that its entries stay as they are");
            continue;
        };
        measured.extend(measure(&runtime, &program, &bundles, &folder.path().join(name), args.runs)?);
    }
    remove_folder_of_cgroups();
    let mut lines: Vec<_> = measured.iter().map(describe).collect();
    sets::put(&mut table, measured);
    lines.extend(sets::differences(&table));
    if !args.dry_run {
        fs::write(&path, serde_json::to_string_pretty(&table)? + "\n")?;
        lines.push(format!("written: {}", path.display()));
    }
    writeln!(std::io::stdout(), "{}", lines.join("\n")).context("cannot write to stdout")
}

/// The filter that denies nothing.
fn filter(program: &Path) -> Result<serde_json::Value> {
    let output = Command::new(program).arg("tracing-profile").output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    serde_json::from_slice(&output.stdout).context("tracing-profile printed no JSON")
}

/// The runtimes remove their containers' own.
fn remove_folder_of_cgroups() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut mounts = mounts.lines().map(|mount| mount.split(' ').collect::<Vec<_>>());
    if let Some([_, at, ..]) = mounts.find(|mount| mount.get(2) == Some(&"cgroup2")).as_deref() {
        let _ = fs::remove_dir(Path::new(at).join(CGROUP));
    }
}

fn measure(
    runtime: &Runtime,
    program: &Path,
    bundles: &Bundles,
    folder: &Path,
    runs: u32,
) -> Result<Vec<RuntimeSet>> {
    fs::create_dir(folder)?;
    eprintln!("{} {}: {} starts", runtime.name, runtime.version, Way::all().count() * runs as usize);
    let starts: Vec<(String, Way)> = (0..runs)
        .flat_map(|run| Way::all().enumerate().map(move |(number, way)| (format!("{number}-{run}"), way)))
        .map(|(number, way)| (format!("{CGROUP}-{}-{}-{number}", runtime.name, std::process::id()), way))
        .collect();
    let cgroup = |id: &str| format!("/{CGROUP}/{id}");
    let cgroups: Vec<_> = starts.iter().map(|(id, _)| cgroup(id)).collect();
    let trace = Trace::begin(program, &cgroups, folder)?;
    for (id, way) in &starts {
        runtime.start(id, &bundles.make(id, *way, &cgroup(id))?, *way)?;
    }
    trace.end()?;
    let recorded = trace::read(folder)?;
    if recorded.len() != starts.len() {
        bail!("{} starts, and {} recordings", starts.len(), recorded.len());
    }
    let of = |variant: Variant| {
        let ids = starts.iter().filter(move |(_, way)| way.variant() == variant);
        let ids: Vec<_> = ids.map(|(id, _)| cgroup(id)).collect();
        recorded.iter().filter(move |start| ids.contains(&start.cgroup)).collect::<Vec<_>>()
    };
    let variants = [Variant::Default, Variant::User, Variant::NoNewPrivileges];
    let sets = variants.map(|variant| sets::set(runtime.name, &runtime.version, variant, &of(variant)));
    Ok(sets.into_iter().flatten().collect())
}

fn describe(set: &RuntimeSet) -> String {
    let RuntimeSet { runtime, version, variant, calls, runs, .. } = set;
    let rare: Vec<_> =
        sets::not_always(set).into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!(
        "{runtime} {version} {variant}: {} calls in {} starts; not in all: {}",
        calls.len(),
        runs.unwrap_or_default(),
        rare.join(", ")
    )
}
