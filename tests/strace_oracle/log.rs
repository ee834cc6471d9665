//! Reading what `strace --follow-forks --syscall-number --quiet=none -o` writes. A line that isn't understood is an
//! error: it could hide a call.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use super::calls::{Abi, Calls};

/// A witness that is unsure of more than this proves nothing.
const MOST_UNDECIDED: usize = 5;

/// Results above are errors (MAX_ERRNO in include/linux/err.h).
const ERRORS: u32 = u32::MAX - 4095;

/// From where on calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// From the first line on.
    Attach,
    /// From the end of the first process' second successful execve on: strace's child execs the launcher, and that
    /// the command.
    SecondExec,
}

/// The calls of a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Those that were made.
    pub calls: Calls,
    /// Those that never returned, their thread being killed: strace stops a thread before the kernel lets its call in,
    /// and can't tell whether it came so far.
    pub undecided: Calls,
}

/// Reads a log.
pub fn read(log: &str, from: From) -> Result<Seen> {
    let mut reader = Reader { execs: usize::from(from == From::Attach) * 2, ..Reader::default() };
    for line in log.lines() {
        reader
            .line(line)
            .with_context(|| format!("strace's log has a line that isn't understood: {line}"))?;
    }
    if reader.execs < 2 {
        bail!("strace's log ends before the command's exec");
    }
    let Reader { mut seen, .. } = reader;
    seen.undecided.retain(|call, _| !seen.calls.contains_key(call));
    if seen.undecided.len() > MOST_UNDECIDED {
        bail!("strace's log leaves too many calls undecided: {:?}", seen.undecided);
    }
    Ok(seen)
}

#[derive(Default)]
struct Reader {
    seen: Seen,
    /// Successful execs of the first process.
    execs: usize,
    first: Option<u32>,
    /// The processes that strace has told to be in 32-bit mode, or back.
    compat: BTreeMap<u32, bool>,
    /// Of the process that strace looked at last: a new one starts with it, untold (alloctcb in its strace.c).
    last_compat: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<()> {
        let (pid, rest) = line.trim_start().split_once(' ').context("no process")?;
        let pid: u32 = pid.parse().context("no process")?;
        let first = *self.first.get_or_insert(pid);
        let (number, rest) = rest
            .trim_start()
            .strip_prefix('[')
            .context("no number")?
            .split_once("] ")
            .context("no number")?;
        if let Some(mode) = rest.strip_prefix("[ Process PID=") {
            let mode = mode.split_once(" runs in ").context("no mode")?.1;
            self.compat.insert(pid, mode == "32 bit mode. ]");
            return Ok(());
        }
        // Signals and ends; and a call of a process that was gone before strace could ask for it: whether the kernel
        // let it in is not known.
        if ["--- ", "+++ ", "???", "<... ??? "].iter().any(|start| rest.starts_with(start)) {
            return Ok(());
        }
        // The other half of a call, or, of one in which strace came, its only one.
        let name = match rest.strip_prefix("<... ") {
            Some(rest) => rest.split_once(" resumed").context("no call")?.0,
            None => rest.split_once('(').context("no call")?.0,
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            bail!("no call's name: {name:?}");
        }
        let compat = *self.compat.entry(pid).or_insert(self.last_compat);
        self.last_compat = compat;
        if self.execs < 2 {
            self.execs += usize::from(pid == first && name == "execve" && rest.trim_end().ends_with(" = 0"));
            return Ok(());
        }
        let (key, returned) = (key(number.trim(), name, compat)?, returned(name, rest));
        // Of a thread on its way out, strace can take the last call's result, such as -EINVAL, for a number.
        if !returned && key.1 > ERRORS {
            return Ok(());
        }
        let list = if returned { &mut self.seen.calls } else { &mut self.seen.undecided };
        list.insert(key, name_of(name));
        Ok(())
    }
}

/// Whether a call is known to have come back. Two never do; where the second half of one is in a later line, that one tells.
fn returned(name: &str, line: &str) -> bool {
    let result = line.rsplit_once(" = ").map(|(_, result)| result.trim());
    let is_known = |result: &str| result != "?" && !result.starts_with("? <");
    matches!(name, "exit" | "exit_group") || result.is_some_and(is_known)
}

/// What it has no name for is called by its number.
fn name_of(name: &str) -> Option<String> {
    (!name.starts_with("syscall_0x")).then(|| name.to_owned())
}

/// The kernel takes 32 bits of the number, of which strace shows up to 64, and `???` for -1.
fn key(number: &str, name: &str, compat: bool) -> Result<(Abi, u32)> {
    let number = match name.strip_prefix("syscall_0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => number.parse(),
    };
    let number = u32::try_from(number.context("no number")? & u64::from(u32::MAX))?;
    const X32: u32 = 1 << 30;
    Ok(match compat {
        true => (Abi::I386, number),
        // -1 and its like have the bit too, and are no x32.
        false if number & X32 != 0 && number >> 31 == 0 => (Abi::X32, number & !X32),
        false => (Abi::X86_64, number),
    })
}
