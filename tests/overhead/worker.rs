//! A process that makes calls when it is told to, and says what they took.

use anyhow::{Context as _, Result, ensure};
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use std::{
    env,
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Write as _, stdin, stdout},
    ops::RangeInclusive,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The first argument of this program as a worker; a processor's number and a `cgroup.procs`, or none, follow.
pub const ARGUMENT: &str = "worker";
/// In place of a number of calls: each of [`UNUSED`] once.
const UNUSED_ONCE: &str = "unused";
/// In place of one: one call over and over, for ever.
const FOR_EVER: &str = "for ever";
/// In place of one: one call a second, for ever.
const SELDOM: &str = "seldom";
/// In place of one: load a filter.
const FILTER: &str = "filter";
/// Numbers that no kernel has a call for yet, so that each is as cheap as the other.
pub const UNUSED: RangeInclusive<i64> = 480..=511;

/// What calls took, in ns for each of them.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// Of the processor.
    pub cpu: f64,
    /// By the clock on the wall.
    pub wall: f64,
}

/// A worker, on one processor. Dropped, it ends.
pub struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts it, in this cgroup where there is one.
    pub fn start(cpu: usize, procs: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args([ARGUMENT, &cpu.to_string()]).arg(procs.unwrap_or(Path::new("")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = BufReader::new(child.stdout.take().context("a worker has no stdout")?);
        let mut worker = Self { orders: child.stdin.take(), child, answers };
        worker.answer().context("a worker does not begin")?;
        Ok(worker)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn order(&mut self, order: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("a worker has no stdin")?;
        writeln!(orders, "{order}").context("a worker is gone")
    }

    fn answer(&mut self) -> Result<String> {
        let mut answer = String::new();
        ensure!(self.answers.read_line(&mut answer)? > 0, "a worker is gone");
        Ok(answer)
    }

    fn took(&mut self) -> Result<Took> {
        let answer = self.answer()?;
        let (cpu, wall) = answer.trim().split_once(' ').context("a worker says nothing")?;
        Ok(Took { cpu: cpu.parse()?, wall: wall.parse()? })
    }

    /// So many calls of `getppid`.
    pub fn calls(&mut self, count: u32) -> Result<Took> {
        self.order(&count.to_string())?;
        self.took()
    }

    /// Each of [`UNUSED`] once.
    pub fn unused_once(&mut self) -> Result<Took> {
        self.order(UNUSED_ONCE)?;
        self.took()
    }

    /// From now on a filter is asked about its calls, and allows them.
    pub fn load_filter(&mut self) -> Result<()> {
        self.order(FILTER)?;
        self.answer().map(drop)
    }

    /// Calls until it ends: as many as it can, or one a second.
    pub fn go_on(&mut self, seldom: bool) -> Result<()> {
        self.order(if seldom { SELDOM } else { FOR_EVER })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same calls at once on every worker; the mean of what they took.
pub fn calls(workers: &mut [Worker], count: u32) -> Result<Took> {
    workers.iter_mut().try_for_each(|worker| worker.order(&count.to_string()))?;
    let took = workers.iter_mut().map(Worker::took).collect::<Result<Vec<_>>>()?;
    let mean = |of: fn(&Took) -> f64| took.iter().map(of).sum::<f64>() / took.len() as f64;
    Ok(Took { cpu: mean(|took| took.cpu), wall: mean(|took| took.wall) })
}

/// The worker's own life.
pub fn work(cpu: usize, procs: &str) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus)?;
    if !procs.is_empty() {
        let mut file = OpenOptions::new().write(true).open(procs).with_context(|| procs.to_owned())?;
        file.write_all(b"0").with_context(|| procs.to_owned())?;
    }
    let say = |line: &str| {
        let mut out = stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush())
    };
    say("here")?;
    for order in stdin().lines() {
        let order = order?;
        let took = match order.as_str() {
            FILTER => {
                load_filter()?;
                say("loaded")?;
                continue;
            }
            UNUSED_ONCE => timed(UNUSED),
            FOR_EVER => loop {
                call(libc::SYS_getppid);
            },
            SELDOM => loop {
                call(libc::SYS_getppid);
                std::thread::sleep(std::time::Duration::from_secs(1));
            },
            count => {
                let count: i64 = count.parse().with_context(|| format!("not an order: {count}"))?;
                timed((0..count).map(|_| libc::SYS_getppid))
            }
        };
        say(&format!("{} {}", took.cpu, took.wall))?;
    }
    Ok(())
}

fn timed(numbers: impl IntoIterator<Item = i64>) -> Took {
    let now = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let (cpu, wall) = (now(ClockId::ThreadCPUTime), now(ClockId::Monotonic));
    let mut count = 0;
    for number in numbers {
        call(number);
        count += 1;
    }
    let each = |from: f64, to: f64| (to - from) / f64::from(count);
    Took { cpu: each(cpu, now(ClockId::ThreadCPUTime)), wall: each(wall, now(ClockId::Monotonic)) }
}

fn load_filter() -> Result<()> {
    let allow = libc::BPF_RET | libc::BPF_K;
    let mut code = [libc::sock_filter { code: allow as u16, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    let program = libc::sock_fprog { len: 1, filter: code.as_mut_ptr() };
    // SAFETY: the kernel copies the program.
    let loaded = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    ensure!(loaded == 0, "a filter can't be loaded: {}", std::io::Error::last_os_error());
    Ok(())
}

fn call(number: i64) {
    // SAFETY: getppid takes nothing, and no kernel has the other numbers.
    unsafe { libc::syscall(number) };
}
