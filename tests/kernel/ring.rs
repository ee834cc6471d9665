//! A ring buffer far too small for the news: no call is missing, and what was lost is told.

use crate::{
    common::{NATIVE, TestEnv, bare, expect, numbers},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};
use seccomp_trace::{
    abi::Abi,
    recording::{Recording, Syscall},
};

/// Two processes at once, each with numbers of all ABIs of its machine that do nothing (none is a call there).
const BODY: &str = "
    long child = call(__NR_clone, 17, 0, 0);
    long from = child ? 1000 : 2500, to = child ? 3000 : 4500;
    for (long n = from; n < to; n++) call(n, 0, 0, 0);
    for (long n = 480; n < 512; n++) {
        call(n, 0, 0, 0);
#if defined __x86_64__
        call_compat(n);
        call(0x40000000 | n, 0, 0, 0);
#endif
    }
    if (child) call(__NR_wait4, child, 0, 0);
";

pub fn tests() -> Vec<Trial> {
    vec![support::test("a_full_ring_loses_no_call", &[Need::Kernel, Need::Cc], || {
        let case = TestEnv::new()?;
        let program = bare(&case, "quick", BODY)?;
        let record = |bytes| -> Result<Recording> {
            expect(&case.run(&["--ring-buffer", bytes], &[&program])?, 0, &[])?;
            case.recording()
        };
        let (small, large) = (record("4096")?, record("16777216")?);
        for recording in [&small, &large] {
            let untold = all(recording).filter(|call| call.first_seen.is_none()).count();
            ensure!(recording.lost.events == untold as u64, "{:?}, and {untold} untold", recording.lost);
            ensure!(recording.lost.syscalls == 0, "{:?}", recording.lost);
        }
        ensure!(small.lost.events > 0, "4096 bytes have held all news: this proves nothing");
        ensure!(large.lost.events == 0, "16 MiB have not held all news: {:?}", large.lost);
        for abi in Abi::HOST.iter().copied() {
            ensure!(numbers(&small, abi) == numbers(&large, abi), "{abi}: the sets differ");
        }
        // 3,500 beyond the tables, 32 of their last, three calls by name.
        ensure!(numbers(&small, NATIVE).len() == 3500 + 32 + 3, "{}", numbers(&small, NATIVE).len());
        if cfg!(target_arch = "x86_64") {
            ensure!(numbers(&small, Abi::I386).len() == 32 && numbers(&small, Abi::X32).len() == 32);
        }
        ensure!(small.syscalls.values().all(|calls| calls.is_sorted_by_key(|call| call.number)));
        // Told in words, and a failure only for who is strict.
        expect(&case.run(&["--ring-buffer", "4096"], &[&program])?, 0, &["events were lost"])?;
        expect(&case.run(&["--ring-buffer", "4096", "--strict"], &[&program])?, 125, &["--strict"])
    })]
}

fn all(recording: &Recording) -> impl Iterator<Item = &Syscall> {
    recording.syscalls.values().flatten()
}
