//! The same call under other tools, where they are installed. By the clock on the wall: what stops a process takes no time of
//! its processor.

use crate::{
    calls::attach_ours,
    document::Peer,
    place::Place,
    rounds::{ratios, rounds},
    support::{Running, find_program},
    worker::Worker,
};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use std::{process::Command, thread::sleep, time::Duration};

const ROUNDS: usize = 5;
/// Until a tool that does not say so is attached; what it has counted shows whether it was.
const ATTACHING: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

/// Another tool, or one of the two it is compared with.
enum Way {
    Nothing,
    Ours,
    Tool { name: &'static str, program: &'static str, calls: u32, arguments: fn(u32, u64) -> Vec<String> },
}

const WAYS: [Way; 6] = [
    Way::Nothing,
    Way::Ours,
    Way::Tool {
        name: "bpftrace, counting by number for the cgroup",
        program: "bpftrace",
        calls: 200_000,
        arguments: |_, cgroup| {
            let filter = format!(
                "tracepoint:raw_syscalls:sys_enter /cgroup == {cgroup}/ {{ @[args->id] = count(); }}"
            );
            vec!["-e".to_owned(), filter]
        },
    },
    Way::Tool {
        name: "perf trace -s",
        program: "perf",
        calls: 20_000,
        arguments: |pid, _| ["trace", "-s", "-p", &pid.to_string()].map(str::to_owned).to_vec(),
    },
    Way::Tool {
        name: "strace -f -c",
        program: "strace",
        calls: 20_000,
        arguments: |pid, _| ["-f", "-c", "-p", &pid.to_string()].map(str::to_owned).to_vec(),
    },
    Way::Tool {
        name: "strace -f",
        program: "strace",
        calls: 20_000,
        arguments: |pid, _| ["-f", "-o", "/dev/null", "-p", &pid.to_string()].map(str::to_owned).to_vec(),
    },
];

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing attached",
            Self::Ours => "seccomp-trace",
            Self::Tool { name, .. } => name,
        }
    }

    /// What a call takes under it, in ns.
    fn measure(&self, place: &Place) -> Result<f64> {
        let mut worker = Worker::start(0, Some(&place.procs()))?;
        match self {
            Self::Nothing => Ok(worker.calls(200_000)?.wall),
            Self::Ours => {
                let _attached = attach_ours(place)?;
                worker.calls(1000)?;
                Ok(worker.calls(200_000)?.wall)
            }
            Self::Tool { name, program, calls, arguments } => {
                let mut command = Command::new(program);
                let running = Running::start(
                    command.args(arguments(worker.pid(), place.traced()?)).env("LC_ALL", "C"),
                )?;
                sleep(ATTACHING);
                let took = worker.calls(*calls)?.wall;
                running.signal(Signal::INT)?;
                let output = running.finish(PATIENCE)?;
                let printed = [output.stdout, output.stderr].concat();
                let printed = String::from_utf8_lossy(&printed);
                let numbers = printed.split(|c: char| !c.is_ascii_digit());
                let counted =
                    numbers.filter_map(|number| number.parse().ok()).any(|number: u32| number >= *calls);
                ensure!(counted || *name == "strace -f", "{name} was not attached in time: {printed}");
                Ok(took)
            }
        }
    }

    fn is_here(&self) -> bool {
        match self {
            Self::Tool { program, .. } => find_program(program).is_some(),
            _ => true,
        }
    }
}

/// See the module.
pub fn measure() -> Result<Vec<Peer>> {
    let (here, missing): (Vec<_>, Vec<_>) = WAYS.iter().partition(|way| way.is_here());
    eprintln!("peers: {} of them, {ROUNDS} rounds", here.len() - 2);
    let place = Place::new(0)?;
    let took = rounds(ROUNDS, here.len(), |number| {
        here.get(number).map_or(Ok(f64::NAN), |way| way.measure(&place))
    })?;
    let alone = took.first().cloned().unwrap_or_default();
    let measured = here
        .iter()
        .zip(&took)
        .skip(1)
        .map(|(way, took)| Peer { name: way.name().to_owned(), to_nothing: Some(ratios(took, &alone)) });
    let missing = missing.iter().map(|way| Peer { name: way.name().to_owned(), to_nothing: None });
    Ok(measured.chain(missing).collect())
}
