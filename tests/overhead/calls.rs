//! One cheap call, over and over, under each way of tracing: nothing, programs that do nothing, and ours.

use crate::{
    document::{Call, Ratio},
    place::Place,
    rounds::{ratios, rounds},
    worker::{self, UNUSED, Worker},
};
use anyhow::{Context as _, Result, bail, ensure};
use aya::{Ebpf, include_bytes_aligned, programs::RawTracePoint};
use seccomp_trace::tracer::{Loader, Options, Tracer, TrackOutcome};
use seccomp_trace_common::{ABI_NATIVE, flag, set};
use std::thread::available_parallelism;

static BASELINE: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/baseline"));

/// Calls before those that count: the first ones find cold caches.
const WARM_UP: u32 = 10_000;
/// Cgroups, at most.
const MANY: u32 = 10_000;

/// What is attached.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Nothing,
    /// A program that does nothing, where calls are entered, or there and where they are left.
    Empty {
        pair: bool,
    },
    Ours {
        denials: bool,
        watch: bool,
        traced: bool,
        cgroups: u32,
    },
}

/// What is done meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Load {
    /// One processor.
    One,
    /// All of them.
    All,
    /// Calls that are made for the first time.
    First,
    /// One processor, under a filter that allows everything, as in a container.
    Filtered,
}

struct Condition {
    name: String,
    way: Way,
    load: Load,
    /// What it is compared with, and the most that it is meant to be.
    to: Option<(Way, Option<f64>)>,
}

const ENTER: Way = Way::Empty { pair: false };
const PAIR: Way = Way::Empty { pair: true };

const fn ours(denials: bool, watch: bool, traced: bool) -> Way {
    Way::Ours { denials, watch, traced, cgroups: 1 }
}

fn conditions(is_check: bool) -> Vec<Condition> {
    let one = |name: &str, way, to| Condition { name: name.to_owned(), way, load: Load::One, to };
    let mut all = vec![
        one("nothing attached", Way::Nothing, None),
        one("an empty program on sys_enter", ENTER, None),
        one("an empty pair, on sys_enter and sys_exit", PAIR, None),
        one("--no-denials, not traced", ours(false, false, false), Some((ENTER, Some(1.08)))),
        one("--no-denials, traced", ours(false, false, true), Some((ENTER, Some(1.10)))),
        one("--no-denials, traced, counted", ours(false, true, true), Some((ENTER, Some(1.20)))),
        one("not traced", ours(true, false, false), Some((PAIR, Some(1.10)))),
        one("traced", ours(true, false, true), Some((PAIR, Some(1.10)))),
        one("traced, counted", ours(true, true, true), Some((PAIR, None))),
    ];
    let many = |cgroups| Way::Ours { denials: false, watch: false, traced: true, cgroups };
    for (cgroups, target) in [(100, None), (1000, None), (MANY, Some(1.02))] {
        if !is_check || target.is_some() {
            all.push(one(
                &format!("--no-denials, traced, one of {cgroups} cgroups"),
                many(cgroups),
                Some((many(1), target)),
            ));
        }
    }
    if !is_check {
        for (load, what) in [
            (Load::All, "all processors"),
            (Load::Filtered, "under a filter"),
            (Load::First, "first sightings"),
        ] {
            let of = |name: &str, way, to: Option<Way>| Condition {
                name: format!("{what}: {name}"),
                way,
                load,
                to: to.map(|to| (to, None)),
            };
            all.extend([
                of("nothing attached", Way::Nothing, None),
                of("an empty program on sys_enter", ENTER, None),
                of("--no-denials, traced", ours(false, false, true), Some(ENTER)),
                of("an empty pair, on sys_enter and sys_exit", PAIR, None),
                of("traced", ours(true, false, true), Some(PAIR)),
            ]);
        }
    }
    all
}

/// As long as it is held, it is attached.
pub enum Attached {
    Nothing,
    Empty(#[expect(dead_code, reason = "held for as long as it is to be attached")] Ebpf),
    Ours(Box<Tracer>, u32),
}

/// What users have by default, and a cgroup that is traced.
pub fn attach_ours(place: &Place) -> Result<Attached> {
    attach(ours(true, false, true), place)
}

fn attach(way: Way, place: &Place) -> Result<Attached> {
    match way {
        Way::Nothing => Ok(Attached::Nothing),
        Way::Empty { pair } => {
            let mut ebpf = aya::EbpfLoader::new().btf(None).load(BASELINE)?;
            for name in if pair { &["sys_exit", "sys_enter"][..] } else { &["sys_enter"] } {
                let program: Option<&mut RawTracePoint> =
                    ebpf.program_mut(name).map(TryInto::try_into).transpose()?;
                let program = program.with_context(|| format!("the baseline has no {name}"))?;
                program.load()?;
                program.attach(name)?;
            }
            Ok(Attached::Empty(ebpf))
        }
        Way::Ours { denials, watch, traced, cgroups } => {
            let tracer = Tracer::start(
                Loader::new(),
                Options {
                    max_containers: Options::MAX_CONTAINERS.max(cgroups + 1),
                    ring_bytes: Options::RING_BYTES,
                    track_new: false,
                    denials,
                    watch,
                },
                &[],
            )?;
            for cgroup in place.others(cgroups - 1)? {
                tracer.track(cgroup, flag::ATTACHED_LATE, 0)?;
            }
            let cgroup = if traced { place.traced()? } else { place.untouched()? };
            match tracer.track(cgroup, flag::ATTACHED_LATE, 0)? {
                TrackOutcome::Slot(slot) => Ok(Attached::Ours(Box::new(tracer), slot)),
                TrackOutcome::Ignored => bail!("the cgroup is ignored"),
            }
        }
    }
}

impl Attached {
    /// It did what is measured: it knows the calls, or it does not, and has counted them.
    fn ensure_way(&self, way: Way, load: Load, made: u64) -> Result<()> {
        let (Self::Ours(tracer, slot), Way::Ours { watch, traced, .. }) = (self, way) else { return Ok(()) };
        let calls = tracer.calls(*slot)?;
        let number = if load == Load::First { *UNUSED.start() } else { libc::SYS_getppid };
        let is_told = calls.iter().any(|call| {
            (call.set, call.abi, i64::from(call.number)) == (set::APPLICATION, ABI_NATIVE, number)
                && call.told
        });
        ensure!(is_told == traced, "{way:?}: the calls are {calls:?}");
        if watch {
            let counts = tracer.counts(*slot)?.context("its calls are not counted")?;
            let counted = counts.calls[ABI_NATIVE][libc::SYS_getppid as usize];
            ensure!(counted == made, "{way:?}: {counted} calls were counted, and {made} made");
        }
        Ok(())
    }
}

/// See the module.
pub fn measure(is_check: bool) -> Result<Vec<Call>> {
    let (count, times) = if is_check { (100_000, 9) } else { (200_000, 31) };
    let conditions = conditions(is_check);
    eprintln!("calls: {} ways of tracing, {times} rounds", conditions.len());
    let place = Place::new(MANY)?;
    let cpus = available_parallelism()?.get();
    let mut workers: Vec<_> =
        (0..cpus).map(|cpu| Worker::start(cpu, Some(&place.procs()))).collect::<Result<_>>()?;
    let mut filtered = [Worker::start(0, Some(&place.procs()))?];
    filtered[0].load_filter()?;
    let took = rounds(times, conditions.len(), |number| {
        let Some(Condition { way, load, .. }) = conditions.get(number) else { bail!("no {number}") };
        let attached = attach(*way, &place)?;
        let workers = match load {
            Load::All => &mut workers[..],
            Load::Filtered => &mut filtered[..],
            Load::One | Load::First => &mut workers[..1],
        };
        let took = if *load == Load::First {
            workers[0].unused_once()?
        } else {
            worker::calls(workers, WARM_UP)?;
            worker::calls(workers, count)?
        };
        attached.ensure_way(*way, *load, u64::from(WARM_UP + count) * workers.len() as u64)?;
        Ok(took.cpu)
    })?;
    let of = |way: Way, load: Load| {
        let mut all = conditions.iter().zip(&took);
        let found = all.find(|(condition, _)| condition.way == way && condition.load == load);
        found.map_or(("", &[][..]), |(condition, took)| (condition.name.as_str(), took.as_slice()))
    };
    Ok(conditions
        .iter()
        .zip(&took)
        .map(|(condition, took)| Call {
            name: condition.name.clone(),
            to_nothing: ratios(took, of(Way::Nothing, condition.load).1),
            to_baseline: condition.to.map(|(way, target)| {
                let (to, baseline) = of(way, condition.load);
                Ratio { to: to.to_owned(), times: ratios(took, baseline), target }
            }),
        })
        .collect())
}
