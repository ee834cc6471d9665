//! `--watch` on a real terminal: what is shown, what the keys do, and that the terminal is as it was after every way out.

use crate::{
    common::{LIMIT, NATIVE, TestEnv, allowed, eventually, has_ended, with_libc},
    support::{self, Need, Terminal, Trial},
};
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use seccomp_trace::live::{
    draw::{About, Theme},
    model::Model,
    screen::{Screen, Shared, Stream},
    view::View,
};
use std::{env, fs};

/// Wide enough for everything.
const WIDE: (u16, u16) = (140, 40);
const NEEDS: &[Need] = &[Need::Kernel, Need::Tmux, Need::Cc];

pub fn tests() -> Vec<Trial> {
    vec![
        support::test("q_ends_the_command_and_writes_and_the_terminal_is_as_it_was", NEEDS, quit),
        support::test("the_end_of_the_command_gives_the_terminal_back_with_its_output", NEEDS, command_ends),
        support::test("signals_give_the_terminal_back", NEEDS, signals),
        support::test("ctrl_c_is_the_commands_and_a_second_one_quits", NEEDS, ctrl_c),
        support::test("a_terminal_that_is_closed_is_an_end_like_any_other", NEEDS, closed),
        support::test("a_panic_gives_the_terminal_back", NEEDS, panicked),
        support::test("ctrl_z_stops_and_fg_goes_on", NEEDS, suspended),
        support::test("every_call_is_counted_on_every_cpu", NEEDS, counts),
        support::test("counts_go_on_when_a_cgroup_is_made_anew", NEEDS, again),
        support::test("keys_filter_sort_and_open", NEEDS, keys),
        support::test("w_writes_the_profile_while_it_goes_on", NEEDS, write),
        support::test("w_leaves_a_fifo_for_the_end_and_signals_are_passed_on", NEEDS, write_fifo),
        support::test("the_commands_output_is_shown_on_request", NEEDS, output),
        support::test("a_narrow_terminal_and_another_size_are_readable", NEEDS, sizes),
        support::test("without_colour_and_without_unicode", NEEDS, plain),
        support::test("names_of_threads_inject_nothing", NEEDS, hostile),
        support::test("cgroups_are_chosen_one_after_another", NEEDS, cgroups),
        support::test("beyond_64_the_chosen_one_is_counted", NEEDS, many),
    ]
}

/// A case with `seccomp-trace run --watch` of a command in a terminal.
struct Watched {
    case: TestEnv,
    terminal: Terminal,
}

impl Watched {
    fn start(options: &[&str], command: &str, size: (u16, u16), variables: &[(&str, &str)]) -> Result<Self> {
        Self::start_in(TestEnv::new()?, options, command, size, variables)
    }

    fn start_in(
        case: TestEnv,
        options: &[&str],
        command: &str,
        size: (u16, u16),
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let words = case.run_words(&[&["--watch"], options].concat(), &[]);
        let script = format!("{} {command}", shell(&[&program(), &words.join(" ")]));
        let script = format!("cd {} && {script}", case.folder.path().display());
        let terminal = Terminal::start(&script, size, variables)?;
        Ok(Self { case, terminal })
    }
}

fn program() -> String {
    support::program().get_program().to_string_lossy().into_owned()
}

fn shell(words: &[&str]) -> String {
    words.join(" ")
}

const UTF8: &[(&str, &str)] = &[("LANG", "C.UTF-8")];

fn quit() -> Result<()> {
    let watched =
        Watched::start(&[], "sh -c 'printf \"from %s\\n\" \"the command\"; exec sleep 1000'", WIDE, UTF8)?;
    let screen = watched.terminal.wait_for("clock_nanosleep")?;
    ensure!(screen.contains("profile.json"), "what is written is not said:\n{screen}");
    ensure!(!screen.contains("from the command"), "the command's output tears the picture:\n{screen}");
    ensure!(watched.terminal.variable("alternate_on")? == "1");
    watched.terminal.press(&["q"])?;
    // SIGTERM's.
    let screen = watched.terminal.ended(143)?;
    ensure!(screen.contains("from the command") && screen.contains("the profile allows"), "{screen}");
    ensure!(allowed(&watched.case.profile()?).contains("clock_nanosleep"));
    Ok(())
}

fn command_ends() -> Result<()> {
    let watched =
        Watched::start(&[], "sh -c 'echo to stdout; echo to stderr >&2; sleep 0.5; exit 7'", WIDE, UTF8)?;
    let screen = watched.terminal.ended(7)?;
    ensure!(screen.contains("to stdout") && screen.contains("to stderr"), "{screen}");
    Ok(())
}

fn signals() -> Result<()> {
    for (signal, status) in [("TERM", 143), ("HUP", 129)] {
        let watched = Watched::start(&[], "sleep 1000", WIDE, UTF8)?;
        watched.terminal.wait_for("clock_nanosleep")?;
        let tracer = watched.tracer()?;
        support::run_with_timeout(std::process::Command::new("kill").args(["-s", signal, &tracer]), LIMIT)?;
        watched.terminal.ended(status).context(signal)?;
    }
    Ok(())
}

impl Watched {
    /// The process of seccomp-trace, which is the terminal's foreground.
    fn tracer(&self) -> Result<String> {
        let shell = self.terminal.variable("pane_pid")?;
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
        Ok(children.split_whitespace().next().context("the shell has no child")?.to_owned())
    }
}

fn ctrl_c() -> Result<()> {
    // It goes on after one: the second one is ours.
    let watched = Watched::start(
        &[],
        // It outlives seccomp-trace, and ends with the test.
        "sh -c 'trap \"echo interrupted\" INT; while [ -e \"$PWD\" ]; do sleep 0.1; done'",
        WIDE,
        UTF8,
    )?;
    watched.terminal.wait_for("clock_nanosleep")?;
    watched.terminal.press(&["C-c"])?;
    watched.terminal.press(&["o"])?;
    watched.terminal.wait_for("interrupted")?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    watched.terminal.press(&["C-c", "C-c"])?;
    let screen = watched.terminal.ended(130)?;
    ensure!(screen.contains("interrupted twice"), "{screen}");
    Ok(())
}

/// The shell's end hangs up: COMMAND gets that, too.
fn closed() -> Result<()> {
    let watched = Watched::start(&[], "sleep 1000", WIDE, UTF8)?;
    watched.terminal.wait_for("clock_nanosleep")?;
    let tracer: u32 = watched.tracer()?.parse()?;
    let Watched { case, terminal } = watched;
    drop(terminal);
    eventually("its end", || has_ended(tracer).then_some(()))?;
    ensure!(case.recording()?.finished);
    ensure!(allowed(&case.profile()?).contains("clock_nanosleep"));
    case.is_clean()
}

/// Asks this very program for a panic while it has the screen.
const PANIC: &str = "SECCOMP_TRACE_TEST_PANICS";

/// Where a test asks for it.
pub fn panic_if_asked() {
    if env::var_os(PANIC).is_some() {
        let shared = Shared::new(Model::new(Timestamp::now()));
        let about = About { title: String::new(), end: String::new(), max_counted: 64, has_command: false };
        let look = Theme { color: true, unicode: true };
        let _screen = Screen::open(Stream::Stdout, shared, View::new(None), about, look, |_| {});
        std::thread::sleep(std::time::Duration::from_millis(300));
        panic!("as the test wants it");
    }
}

fn panicked() -> Result<()> {
    let this = env::current_exe()?;
    let terminal = Terminal::start(&this.display().to_string(), WIDE, &[(PANIC, "1")])?;
    let screen = terminal.ended(101)?;
    ensure!(screen.contains("as the test wants it"), "{screen}");
    Ok(())
}

fn suspended() -> Result<()> {
    let case = TestEnv::new()?;
    let words = case.run_words(&["--watch"], &["sleep", "1000"]).join(" ");
    // A shell with job control.
    let terminal = Terminal::start("PS1='$ ' bash --norc --noprofile -i", WIDE, UTF8)?;
    terminal.enter(&format!("cd {}; {} {words}\n", case.folder.path().display(), program()))?;
    terminal.wait_for("clock_nanosleep")?;
    terminal.press(&["C-z"])?;
    terminal.wait_for("Stopped")?;
    ensure!(terminal.variable("alternate_on")? == "0");
    terminal.enter("fg\n")?;
    terminal.wait("the picture", |screen| {
        screen.contains("clock_nanosleep") && screen.contains("profile.json")
    })?;
    terminal.press(&["q"])?;
    terminal.wait_for("the profile allows")?;
    terminal.enter("exit 5\n")?;
    terminal.ended(5).map(drop)
}

/// Two threads make so many calls each, wherever they run.
fn counts() -> Result<()> {
    let case = TestEnv::new()?;
    let source = r#"
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
void *calls(void *arg) { for (int i = 0; i < 123456; i++) syscall(SYS_getpriority, 0, 0); return arg; }
int main(void) {
    pthread_t one, two;
    pthread_create(&one, 0, calls, 0);
    pthread_create(&two, 0, calls, 0);
    pthread_join(one, 0);
    pthread_join(two, 0);
    for (;;) pause();
}"#;
    let program = with_libc(&case, "counted", source)?;
    let watched = Watched::start(&[], &program, WIDE, UTF8)?;
    watched.terminal.wait_for("pause")?;
    watched.terminal.press(&["Tab", "/"])?;
    watched.terminal.enter("getpriority")?;
    watched.terminal.press(&["Enter", "Enter"])?;
    watched.terminal.wait("246,912 calls", |screen| screen.contains("246,912"))?;
    watched.terminal.press(&["q"])?;
    watched.terminal.ended(143).map(drop)
}

/// Its slot is another one then, and its counter may be.
fn again() -> Result<()> {
    let case = TestEnv::new()?;
    let program_of = with_libc(
        &case,
        "counted",
        "#include <sys/syscall.h>\n#include <unistd.h>\n
        int main(void) { for (int i = 0; i < 123456; i++) syscall(SYS_getpriority, 0, 0); }",
    )?;
    let script = format!(
        "cd {} && {} record --watch --wait --output-dir . --cgroup {}/anew",
        case.folder.path().display(),
        program(),
        case.home.path
    );
    let terminal = Terminal::start(&script, WIDE, UTF8)?;
    terminal.wait_for("q end")?;
    let cgroup = case.home.directory().join("anew");
    for total in ["123,456", "246,912", "370,368"] {
        let script = "mkdir $0 && (echo 0 >$0/cgroup.procs && exec $1); status=$?; rmdir $0; exit $status";
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script]).arg(&cgroup).arg(&program_of);
        let output = support::run_with_timeout(&mut shell, LIMIT)?;
        ensure!(output.status.success(), "{output:?}");
        if total == "123,456" {
            terminal.wait_for("getpriority")?;
            terminal.press(&["Tab", "/"])?;
            terminal.enter("getpriority")?;
            terminal.press(&["Enter", "Enter"])?;
        }
        terminal.wait_for(total)?;
    }
    terminal.press(&["q"])?;
    terminal.ended(0).map(drop)
}

fn keys() -> Result<()> {
    let watched = Watched::start(&[], "sleep 1000", WIDE, UTF8)?;
    let terminal = &watched.terminal;
    terminal.wait_for("clock_nanosleep")?;
    terminal.press(&["Tab", "/"])?;
    terminal.enter("clock")?;
    terminal.wait("the filtered calls", |screen| {
        screen.contains("clock_nanosleep") && !screen.contains("mprotect")
    })?;
    terminal.press(&["Enter", "Enter"])?;
    // The details of the only one left: its number.
    let number = NATIVE.number("clock_nanosleep").context("a number")?;
    terminal.wait_for(&number.to_string())?;
    terminal.press(&["Escape"])?;
    terminal.press(&["Escape"])?;
    terminal.wait("all calls", |screen| screen.contains("mprotect"))?;
    terminal.press(&["s"])?;
    terminal.wait_for("by name")?;
    terminal.press(&["?"])?;
    terminal.wait("the help", |screen| screen.contains("filter") && screen.contains("sort"))?;
    terminal.press(&["?", "p"])?;
    terminal.wait("the pause", |screen| screen.to_lowercase().contains("paused"))?;
    terminal.press(&["p", "d"])?;
    terminal.wait("nothing denied", |screen| !screen.contains("mprotect"))?;
    terminal.press(&["q"])?;
    terminal.ended(143).map(drop)
}

fn write() -> Result<()> {
    let watched = Watched::start(&[], "sleep 1000", WIDE, UTF8)?;
    watched.terminal.wait_for("clock_nanosleep")?;
    ensure!(!watched.case.profile_path().exists());
    watched.terminal.press(&["w"])?;
    watched.terminal.wait_for("written to")?;
    ensure!(allowed(&watched.case.profile()?).contains("clock_nanosleep"));
    ensure!(!watched.case.recording()?.finished, "it says that it is finished");
    watched.terminal.press(&["q"])?;
    watched.terminal.ended(143)?;
    ensure!(watched.case.recording()?.finished);
    Ok(())
}

/// Nobody reads it.
fn write_fifo() -> Result<()> {
    let case = TestEnv::new()?;
    support::run_with_timeout(std::process::Command::new("mkfifo").arg(case.profile_path()), LIMIT)?;
    let trap = "sh -c 'trap \"echo passed on\" USR1; while :; do sleep 0.1; done'";
    let watched = Watched::start_in(case, &[], trap, WIDE, UTF8)?;
    watched.terminal.wait_for("clock_nanosleep")?;
    watched.terminal.press(&["w"])?;
    watched.terminal.wait_for("it is written at the end")?;
    ensure!(!watched.case.recording()?.finished, "the recording is not written");
    support::run_with_timeout(
        std::process::Command::new("kill").args(["-s", "USR1", &watched.tracer()?]),
        LIMIT,
    )?;
    watched.terminal.press(&["o"])?;
    watched.terminal.wait_for("passed on").map(drop)
}

fn output() -> Result<()> {
    let watched = Watched::start(
        &[],
        "sh -c 'printf \"\\033[31mred and hostile\\033[2J\\n\"; exec sleep 1000'",
        WIDE,
        UTF8,
    )?;
    watched.terminal.wait_for("clock_nanosleep")?;
    watched.terminal.press(&["o"])?;
    let screen = watched.terminal.wait_for("red and hostile")?;
    ensure!(
        screen.lines().any(|line| line.starts_with("q end")),
        "the picture is torn:
{screen}"
    );
    watched.terminal.press(&["o", "q"])?;
    watched.terminal.ended(143).map(drop)
}

fn sizes() -> Result<()> {
    let watched = Watched::start(&[], "sleep 1000", (60, 20), UTF8)?;
    let terminal = &watched.terminal;
    let screen = terminal.wait_for("clock_nanosleep")?;
    ensure!(screen.lines().all(|line| line.chars().count() <= 60), "{screen}");
    ensure!(screen.contains("sleep"), "the container's name is missing:\n{screen}");
    terminal.resize(140, 40)?;
    terminal.wait("the wide picture", |screen| screen.lines().any(|line| line.chars().count() > 100))?;
    terminal.resize(20, 5)?;
    terminal.resize(60, 20)?;
    terminal.wait_for("clock_nanosleep")?;
    terminal.press(&["q"])?;
    terminal.ended(143).map(drop)
}

fn plain() -> Result<()> {
    let variables = [("LC_ALL", "C"), ("LANG", "C"), ("NO_COLOR", "1")];
    let watched = Watched::start(&[], "sleep 1000", WIDE, &variables)?;
    watched.terminal.wait_for("clock_nanosleep")?;
    let screen = watched.terminal.styled()?;
    ensure!(screen.is_ascii(), "not ASCII alone:\n{screen}");
    let colours =
        screen.split("\u{1b}[").skip(1).filter_map(|rest| rest.split_once('m')).flat_map(|(codes, _)| {
            codes
                .split(';')
                .filter_map(|code| code.parse::<u8>().ok())
                .filter(|code| ((30..50).contains(code) && !matches!(code, 39 | 49)) || *code >= 90)
                .collect::<Vec<_>>()
        });
    let colours: Vec<_> = colours.collect();
    ensure!(colours.is_empty(), "colours {colours:?}:\n{screen}");
    watched.terminal.press(&["q"])?;
    watched.terminal.ended(143).map(drop)
}

fn hostile() -> Result<()> {
    let case = TestEnv::new()?;
    let source = "#include <sys/prctl.h>\n#include <sys/time.h>\n#include <unistd.h>\n
        int main(void) { prctl(PR_SET_NAME, \"\\033]2;ha\\a\\033[2J\"); struct itimerval v; getitimer(0, &v); for (;;) pause(); }";
    let program = with_libc(&case, "hostile", source)?;
    let watched = Watched::start(&[], &program, WIDE, UTF8)?;
    let title = watched.terminal.variable("pane_title")?;
    let screen = watched.terminal.wait_for("getitimer")?;
    ensure!(screen.contains("]2;ha"), "{screen}");
    ensure!(watched.terminal.variable("pane_title")? == title, "the title was changed");
    watched.terminal.press(&["q"])?;
    watched.terminal.ended(143).map(drop)
}

fn cgroups() -> Result<()> {
    let case = TestEnv::new()?;
    case.home.make("one")?;
    case.home.make("two")?;
    let path = case.home.path.clone();
    let words = ["record", "--watch", "--wait", "--output-dir", ".", "--cgroup"];
    let script = format!(
        "cd {} && {} {} {path}/one --cgroup {path}/two",
        case.folder.path().display(),
        program(),
        words.join(" ")
    );
    let terminal = Terminal::start(&script, WIDE, UTF8)?;
    terminal.wait_for("q")?;
    let mut started = Vec::new();
    for (cgroup, command) in [("one", "sleep 1000"), ("two", "tail -f /dev/null")] {
        let script =
            format!("echo 0 >{}/{cgroup}/cgroup.procs && exec {command}", case.home.directory().display());
        started.push(support::Running::start(std::process::Command::new("sh").args(["-c", &script]))?);
    }
    terminal.wait("both", |screen| screen.contains("/one") && screen.contains("/two"))?;
    terminal.wait_for("clock_nanosleep")?;
    terminal.press(&["j"])?;
    terminal
        .wait("the second one's calls", |screen| screen.contains("calls of ") && screen.contains("/two ·"))?;
    terminal.press(&["q"])?;
    terminal.ended(0)?;
    drop(started);
    Ok(())
}

/// 70 of them, each of which makes a call each second.
fn many() -> Result<()> {
    let case = TestEnv::new()?;
    let mut words = vec!["record --watch --wait --output-dir .".to_owned()];
    for number in 100..170 {
        case.home.make(&format!("c{number}"))?;
        words.push(format!("--cgroup {}/c{number}", case.home.path));
    }
    let script = format!("cd {} && {} {}", case.folder.path().display(), program(), words.join(" "));
    let terminal = Terminal::start(&script, WIDE, UTF8)?;
    terminal.wait_for("q end")?;
    let script =
        "for cgroup in $0/c1*; do (echo 0 >$cgroup/cgroup.procs; while :; do sleep 1; done) & done; wait";
    let mut shell = std::process::Command::new("sh");
    let _running = support::Running::start(shell.args(["-c", script]).arg(case.home.directory()))?;
    terminal.wait("what is counted", |screen| {
        screen.contains("70 containers") && screen.contains("counted of 64 at a time")
    })?;
    terminal.press(&["G"])?;
    let row = |screen: &str| screen.lines().find(|line| line.contains("/c169 ")).map(str::to_owned);
    // Its row has a number where the ones before it have a dash.
    let screen = terminal.wait("counts of the last one", |screen| {
        row(screen).is_some_and(|row| !row.contains('–')) && screen.contains("/c169 ·")
    })?;
    ensure!(screen.lines().any(|line| line.contains("/c1") && line.contains('–')), "{screen}");
    terminal.press(&["q"])?;
    terminal.ended(0).map(drop)
}
