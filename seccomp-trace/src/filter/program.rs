//! A program, and running it.

use super::Call;

/// Instructions that a program may have (`BPF_MAXINSNS`, include/uapi/linux/bpf_common.h).
const LONGEST: usize = 4096;
/// Words that a program can keep (`BPF_MEMWORDS`).
const MEMORY: usize = 16;
/// Bytes of what it is asked (`sizeof(struct seccomp_data)`).
const ASKED: u32 = 64;

/// One instruction (`struct sock_filter`, include/uapi/linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

/// It is no program that the kernel would have taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no filter that a kernel takes: {0}")]
pub struct Malformed(&'static str);

/// A filter's program. It ends, whatever it is asked: each jump goes forwards, and the last instruction returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// Of the bytes that the kernel keeps: eight an instruction, in the machine's order.
    ///
    /// # Errors
    /// Where the kernel would have refused it (`bpf_check_classic` in net/core/filter.c, `seccomp_check_filter`).
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let (chunks, []) = bytes.as_chunks::<8>() else { return Err(Malformed("half an instruction")) };
        let of = |&[c0, c1, jt, jf, k0, k1, k2, k3]: &[u8; 8]| Instruction {
            code: u16::from_ne_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        };
        let program = Self(chunks.iter().map(of).collect());
        program.check()?;
        Ok(program)
    }

    /// As [`Self::parse`] takes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = |&Instruction { code, jt, jf, k }: &Instruction| {
            let ([c0, c1], [k0, k1, k2, k3]) = (code.to_ne_bytes(), k.to_ne_bytes());
            [c0, c1, jt, jf, k0, k1, k2, k3]
        };
        self.0.iter().flat_map(bytes).collect()
    }

    /// How many instructions it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true: a program returns at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn check(&self) -> Result<(), Malformed> {
        let length = self.0.len();
        if length == 0 || length > LONGEST {
            return Err(Malformed("its length"));
        }
        for (at, &Instruction { code, jt, jf, k }) in self.0.iter().enumerate() {
            let left = length - at - 1;
            let is_good = match code {
                // ld [k]: a word of what is asked.
                0x20 => k < ASKED && k % 4 == 0,
                // ld mem, ldx mem, st, stx.
                0x60 | 0x61 | 0x02 | 0x03 => (k as usize) < MEMORY,
                // ja.
                0x05 => (k as usize) < left,
                // jeq, jgt, jge, jset, by k and by x.
                0x15 | 0x25 | 0x35 | 0x45 | 0x1d | 0x2d | 0x3d | 0x4d => usize::from(jt.max(jf)) < left,
                // lsh, rsh by k.
                0x64 | 0x74 => k < 32,
                // div by k.
                0x34 => k != 0,
                // ld len, ldx len, ld k, ldx k; add, sub, mul, or, and, xor, neg by k; the same and div, lsh, rsh by x;
                // tax, txa; ret k, ret a.
                0x80 | 0x81 | 0x00 | 0x01 => true,
                0x04 | 0x14 | 0x24 | 0x44 | 0x54 | 0xa4 | 0x84 => true,
                0x0c | 0x1c | 0x2c | 0x3c | 0x4c | 0x5c | 0x6c | 0x7c | 0xac => true,
                0x07 | 0x87 | 0x06 | 0x16 => true,
                _ => false,
            };
            if !is_good {
                return Err(Malformed("an instruction"));
            }
        }
        match self.0.last() {
            Some(Instruction { code: 0x06 | 0x16, .. }) => Ok(()),
            _ => Err(Malformed("it does not return")),
        }
    }

    /// What it returns for a call: an action, and 16 bits of data.
    #[must_use]
    pub fn run(&self, call: &Call) -> u32 {
        let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; MEMORY], 0_usize);
        while let Some(&Instruction { code, jt, jf, k }) = self.0.get(at) {
            at += 1;
            let kept = memory.get_mut(k as usize);
            // The source of arithmetic and of comparisons.
            let source = if code & 0x08 == 0 { k } else { x };
            match code {
                0x20 => a = call.word(k as usize / 4),
                0x00 => a = k,
                0x01 => x = k,
                0x80 => a = ASKED,
                0x81 => x = ASKED,
                0x60 => a = kept.map_or(0, |word| *word),
                0x61 => x = kept.map_or(0, |word| *word),
                0x02 => kept.into_iter().for_each(|word| *word = a),
                0x03 => kept.into_iter().for_each(|word| *word = x),
                0x07 => x = a,
                0x87 => a = x,
                0x06 => return k,
                0x16 => return a,
                0x05 => at += k as usize,
                0x15 | 0x25 | 0x35 | 0x45 | 0x1d | 0x2d | 0x3d | 0x4d => {
                    let is_so = match code & 0xf0 {
                        0x10 => a == source,
                        0x20 => a > source,
                        0x30 => a >= source,
                        _ => a & source != 0,
                    };
                    at += usize::from(if is_so { jt } else { jf });
                }
                0x84 => a = a.wrapping_neg(),
                // A division by nothing ends the program (bpf_convert_filter in net/core/filter.c).
                0x3c if x == 0 => return 0,
                _ => a = calculate(code & 0xf0, a, source),
            }
        }
        // Not reached: the last instruction returns.
        0
    }
}

/// In 32 bits; shifts are by what five bits say, as the machines that run it do.
fn calculate(operation: u16, a: u32, source: u32) -> u32 {
    match operation {
        0x00 => a.wrapping_add(source),
        0x10 => a.wrapping_sub(source),
        0x20 => a.wrapping_mul(source),
        0x30 => a.checked_div(source).unwrap_or(0),
        0x40 => a | source,
        0x50 => a & source,
        0x60 => a.wrapping_shl(source),
        0x70 => a.wrapping_shr(source),
        _ => a ^ source,
    }
}
