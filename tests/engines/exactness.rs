//! Independent witnesses: of real programs and of stress-ng's stressors, strace sees the same calls in the same execution.
//! docs/exactness.md, which says so, is what its data make.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::strace_oracle::{
    self, Results,
    compare::{Comparison, Difference, Kind},
    page,
    programs::PROGRAMS,
};
use crate::support::{Need, Trial, test};

/// Those that make the most different calls, threads, processes and signals. `cargo xtask measure-exactness` has all, which
/// takes ten minutes.
const STRESSORS: [&str; 24] = [
    "access",
    "aio",
    "clone",
    "close",
    "enosys",
    "exec",
    "forkheavy",
    "get",
    "kill",
    "landlock",
    "pidfd",
    "ptrace",
    "ramfs",
    "resources",
    "seccomp",
    "set",
    "sigsegv",
    "sockabuse",
    "sysbadaddr",
    "syscall",
    "sysinval",
    "userfaultfd",
    "vfork",
    "x86syscall",
];

/// The tests.
pub fn tests() -> Vec<Trial> {
    const DATABASE: &[Need] = &[Need::Kernel, Need::Strace, Need::Busybox, Need::Postgresql];
    const WEB: &[Need] = &[Need::Kernel, Need::Strace, Need::Busybox, Need::Nginx, Need::Curl];
    const INTERPRETER: &[Need] = &[Need::Kernel, Need::Strace, Need::Busybox, Need::Python];
    const COMPILER: &[Need] = &[Need::Kernel, Need::Strace, Need::Busybox, Need::Cc];
    const GO: &[Need] = &[Need::Kernel, Need::Strace, Need::Busybox, Need::Containerd];
    const STRESS: &[Need] = &[Need::Kernel, Need::Strace, Need::Busybox, Need::StressNg];
    vec![
        test("strace_sees_the_same_calls_of_postgresql", DATABASE, || agrees("PostgreSQL")).only_in_full(),
        test("strace_sees_the_same_calls_of_nginx", WEB, || agrees("nginx")).only_in_full(),
        test("strace_sees_the_same_calls_of_python", INTERPRETER, || agrees("Python")),
        test("strace_sees_the_same_calls_of_gcc", COMPILER, || agrees("GCC")),
        test("strace_sees_the_same_calls_of_containerd", GO, || agrees("containerd")).only_in_full(),
        test("strace_sees_the_same_calls_of_stressors", STRESS, stressors).only_in_full(),
        test("the_page_on_exactness_is_made_of_its_data", &[], page_and_data),
    ]
}

fn tracer() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_seccomp-trace"))
}

fn agrees(name: &str) -> Result<()> {
    let program = PROGRAMS.iter().find(|program| program.name == name).context("no such program")?;
    let faults = faults(name, || Ok(strace_oracle::program(tracer(), program)?.comparison))?;
    ensure!(faults.is_empty(), "{faults:?}");
    Ok(())
}

/// What only the recording has must show in each of so many executions: on a busy machine strace's log has lacked an
/// rt_sigreturn once in some hundred executions of pidfd. What only strace saw is never forgiven.
const EXECUTIONS: usize = 3;

/// The differences of a subject that nothing explains.
fn faults(name: &str, compare: impl Fn() -> Result<Comparison>) -> Result<Vec<Difference>> {
    let exceptions = strace_oracle::exceptions()?;
    let differences = || -> Result<Vec<Difference>> {
        let comparison = compare()?;
        let count: usize = comparison.agreed.values().map(|calls| calls.len()).sum();
        ensure!(count > 30, "{name}: {count} calls only: {:?}", comparison.agreed);
        Ok(comparison.unexplained(name, &exceptions).into_iter().cloned().collect())
    };
    let mut faults = differences()?;
    for _ in 1..EXECUTIONS {
        if faults.is_empty() || faults.iter().any(|fault| fault.kind != Kind::OnlyRecording) {
            break;
        }
        let before = faults;
        faults = differences()?;
        faults.retain(|fault| fault.kind != Kind::OnlyRecording || before.contains(fault));
    }
    Ok(faults)
}

fn stressors() -> Result<()> {
    let mut all = Vec::new();
    for name in STRESSORS {
        let compare = || {
            let result = strace_oracle::stressor(tracer(), name)?;
            result.comparison.with_context(|| format!("{name} is one that is not run"))
        };
        let faults = faults(name, compare).with_context(|| name)?;
        all.extend(faults.into_iter().map(|difference| format!("{name}: {difference}")));
    }
    ensure!(all.is_empty(), "{}", all.join("\n"));
    Ok(())
}

fn page_and_data() -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let results = Results::read(&docs.join("exactness.json"))?.context("there is no docs/exactness.json")?;
    let exceptions = strace_oracle::exceptions()?;
    let faults = results.faults(&exceptions);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    let names = |list: &[&str]| list.join(" ");
    let measured: Vec<_> = results.programs.iter().map(|program| program.name.as_str()).collect();
    ensure!(names(&measured) == names(&PROGRAMS.map(|program| program.name)), "{measured:?}");
    let made = page::render(&results, &exceptions);
    let page = std::fs::read_to_string(docs.join("exactness.md"))?;
    ensure!(
        made == page,
        "docs/exactness.md is not what its data make; type: cargo xtask measure-exactness --render"
    );
    let text = std::fs::read_to_string(docs.join("exactness.json"))?;
    ensure!(results.to_json()? == text, "docs/exactness.json has another layout than it is written with");
    let ran =
        results.stressors.iter().filter(|stressor| stressor.not_run.is_none() && stressor.skipped.is_none());
    let count = format!("({} of {})", ran.count(), results.stressors.len());
    let readme = std::fs::read_to_string(docs.join("../README.md"))?;
    ensure!(readme.contains(&count), "README.md does not say how many stressors ran {count}");
    Ok(())
}
