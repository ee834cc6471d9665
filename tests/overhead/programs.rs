//! Whole programs: alone, under seccomp-trace, and under strace.

use crate::{
    document::Program,
    process::run,
    rounds::{ratios, rounds},
    support::{self, find_program, program},
};
use anyhow::Result;
use std::{path::Path, process::Command, time::Instant};

const ROUNDS: usize = 5;

/// Something that a shell does, in a folder of its own.
struct Work {
    name: &'static str,
    needs: &'static [&'static str],
    script: &'static str,
}

const WORKS: [Work; 3] = [
    Work {
        name: "a storm of 1,000 forks and execs",
        needs: &[],
        script: "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done",
    },
    Work {
        name: "redis-benchmark, 100,000 requests of 50 clients",
        needs: &["redis-server", "redis-benchmark"],
        script: "redis-server --port 0 --unixsocket s --save '' --daemonize no >/dev/null & \
                 until redis-cli -s s ping 2>/dev/null; do sleep 0.01; done; \
                 redis-benchmark -s s -q -n 50000 -t set,get >/dev/null; redis-cli -s s shutdown nosave; wait",
    },
    Work {
        name: "a compile of 20 C files",
        needs: &["cc"],
        script: "i=0; while [ $i -lt 20 ]; do \
                 printf '#include <stdio.h>\\n#include <stdlib.h>\\n#include <pthread.h>\\nint f(void) { return puts(\"\"); }\\n' >$i.c; \
                 cc -O2 -c $i.c -o $i.o; i=$((i+1)); done",
    },
];

impl Work {
    /// Seconds that it takes under the words before it.
    fn time(&self, under: &mut Command, folder: &Path) -> Result<f64> {
        under.args(["sh", "-c", self.script]).current_dir(folder);
        let start = Instant::now();
        run(under)?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn measure(&self) -> Result<Program> {
        let name = self.name.to_owned();
        if self.needs.iter().any(|need| find_program(need).is_none()) {
            return Ok(Program { name, traced: None, strace: None });
        }
        let has_strace = find_program("strace").is_some();
        let took = rounds(ROUNDS, if has_strace { 3 } else { 2 }, |way| {
            let folder = support::temp_dir()?;
            let mut under = match way {
                0 => Command::new("env"),
                1 => program(),
                _ => Command::new("strace"),
            };
            match way {
                0 => &mut under,
                1 => under.args(["run", "--quiet", "-o"]).arg(folder.path().join("profile.json")).arg("--"),
                _ => under.args(["-f", "-c", "-o", "/dev/null"]),
            };
            self.time(&mut under, folder.path())
        })?;
        let of = |way: usize| took.get(way).map_or(&[][..], Vec::as_slice);
        Ok(Program {
            name,
            traced: Some(ratios(of(1), of(0))),
            strace: has_strace.then(|| ratios(of(2), of(0))),
        })
    }
}

/// See the module.
pub fn measure() -> Result<Vec<Program>> {
    eprintln!("programs: {} of them, {ROUNDS} rounds", WORKS.len());
    WORKS.iter().map(Work::measure).collect()
}
