//! The live view: what it takes, and how long a key waits for what it shows.

use crate::{
    document::View,
    place::Place,
    process::resident,
    rounds::measured,
    support::{self, program},
    worker::Worker,
};
use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    num::NonZero,
    process::{Child, Command},
    thread::available_parallelism,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const SIZE: (u16, u16) = (40, 140);
/// How long it is looked at.
const WATCHED: Duration = Duration::from_secs(10);
/// How many keys are typed.
const KEYS: usize = 30;
const PATIENCE: Duration = Duration::from_secs(60);
/// On the screen as long as the help is.
const HELP: &str = "this help";

/// `record --watch` in a terminal of ours.
struct Terminal {
    master: File,
    screen: vt100::Parser,
    child: Child,
}

impl Terminal {
    fn start(command: &mut Command) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = OpenOptions::new().read(true).write(true).open(name.to_str()?)?;
        let size = Winsize { ws_row: SIZE.0, ws_col: SIZE.1, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&slave, size)?;
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
        let child = command.spawn()?;
        let [rows, columns] =
            [SIZE.0, SIZE.1].map(|cells| NonZero::new(cells).unwrap_or(NonZero::<u16>::MIN));
        Ok(Self { master: master.into(), screen: vt100::Parser::new(rows, columns, 0), child })
    }

    /// Reads what is drawn until the screen is as wanted; how long that took.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> Result<Duration> {
        let start = Instant::now();
        let mut bytes = vec![0; 64 << 10];
        loop {
            let mut ready = [PollFd::new(&self.master, PollFlags::IN)];
            poll(&mut ready, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }))?;
            if ready[0].revents().contains(PollFlags::IN) {
                let count = self.master.read(&mut bytes)?;
                self.screen.process(bytes.get(..count).unwrap_or_default());
            }
            let contents = self.screen.screen().contents();
            if wanted(&contents) {
                return Ok(start.elapsed());
            }
            ensure!(start.elapsed() < PATIENCE, "it never shows what is wanted:\n{contents}");
        }
    }

    /// Reads for so long.
    fn watch(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        self.until(|_| Instant::now() >= end).map(drop)
    }

    fn press(&mut self, key: &str) -> Result<()> {
        Ok(self.master.write_all(key.as_bytes())?)
    }

    /// How long it takes until a key's effect is drawn, in ms.
    fn answer(&mut self) -> Result<f64> {
        self.press("?")?;
        let took = self.until(|screen| screen.contains(HELP))?;
        self.press("?")?;
        self.until(|screen| !screen.contains(HELP))?;
        Ok(took.as_secs_f64() * 1e3)
    }

    /// Seconds of a processor that it has taken.
    fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
        // utime and stime, the 14th and 15th field.
        let ticks: Vec<f64> =
            fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(ticks.iter().sum::<f64>() / rustix::param::clock_ticks_per_second() as f64)
    }

    fn end(&mut self) -> Result<()> {
        self.press("q")?;
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            self.watch(Duration::from_millis(20))
                .or_else(|error| if self.child.try_wait()?.is_some() { Ok(()) } else { Err(error) })?;
            if Instant::now() >= end {
                bail!("it does not end");
            }
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Containers that are watched. Dropped in this order: nothing must run in their cgroups any more when those are removed.
struct Watched {
    terminal: Terminal,
    _workers: Vec<Worker>,
    _place: Place,
    _folder: TempDir,
}

/// So many containers; as many of them as there are processors, or all, call as often as they can, the others once a second.
fn watched(count: u32, all_busy: bool) -> Result<Watched> {
    let place = Place::new(count)?;
    let folder = support::temp_dir()?;
    let mut command = program();
    command.args(["record", "--watch", "--wait", "--output-dir"]).arg(folder.path());
    for number in 0..count {
        command.args(["--cgroup", &format!("{}/{number}", place.path)]);
    }
    let mut terminal = Terminal::start(&mut command)?;
    terminal.until(|screen| screen.contains("q end"))?;
    let cpus = available_parallelism()?.get();
    let mut workers = Vec::new();
    for number in 0..count {
        let mut worker = Worker::start(number as usize % cpus, Some(&place.procs_of(&number.to_string())))?;
        worker.go_on(!all_busy && number as usize >= cpus)?;
        workers.push(worker);
    }
    terminal.until(|screen| screen.contains(&format!("{count} containers")))?;
    terminal.watch(Duration::from_secs(2))?;
    Ok(Watched { terminal, _workers: workers, _place: place, _folder: folder })
}

/// See the module.
pub fn measure(is_check: bool) -> Result<View> {
    eprintln!("view");
    let mut all = Vec::new();
    for (count, all_busy) in [(10, true), (1000, false)] {
        if is_check && count > 10 {
            continue;
        }
        let mut watched = watched(count, all_busy)?;
        let terminal = &mut watched.terminal;
        let before = terminal.cpu()?;
        let start = Instant::now();
        terminal.watch(WATCHED)?;
        let share = (terminal.cpu()? - before) / start.elapsed().as_secs_f64() * 100.0;
        let answers = (0..KEYS).map(|_| terminal.answer()).collect::<Result<Vec<_>>>()?;
        let slowest = answers.iter().copied().fold(0.0, f64::max);
        let resident = resident(terminal.child.id())?;
        terminal.end()?;
        let of = |what: &str| format!("{what}, {count} containers");
        all.push(measured(of("of one processor"), "%", [share], (count == 10).then_some(5.0)));
        all.push(measured(of("until a key's effect is drawn"), "ms", answers, None));
        all.push(measured(of(&format!("the slowest of {KEYS} keys")), "ms", [slowest], Some(100.0)));
        all.push(measured(of("resident"), "MB", [resident.now], None));
    }
    Ok(View { measured: all })
}
