//! Programs that make known calls and no others: without a C library, compiled on the spot.

use super::Case;
use anyhow::{Result, ensure};
use std::process::Command;

/// `call(NUMBER, A, B, C)`, and the numbers where the compiler has them.
const PRELUDE: &str = r#"
#if defined __x86_64__
#include <asm/unistd.h>
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
/* By the i386 table, from a 64-bit program. */
static long call_compat(long number) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0L), "c"(0L), "d"(0L) : "memory");
    return result;
}
#elif defined __i386__
#define __NR_exit_group 252
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}
#elif defined __aarch64__
#include <asm/unistd.h>
static long call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
#endif
"#;

/// Compiles a program that does what `body` says and then exits by `exit_group`; returns its path.
pub fn bare(case: &Case, name: &str, body: &str) -> Result<String> {
    compile(case, name, body, &[])
}

/// As [`bare`], a 32-bit program.
pub fn bare_32_bit(case: &Case, name: &str, body: &str) -> Result<String> {
    compile(case, name, body, &["-m32"])
}

/// Compiles a whole C program, with the C library and threads; returns its path.
pub fn with_libc(case: &Case, name: &str, source: &str) -> Result<String> {
    build(case, name, source, &["-pthread"])
}

/// As [`with_libc`], in one file that needs no other: for a container of its own.
pub fn static_with_libc(case: &Case, name: &str, source: &str) -> Result<String> {
    build(case, name, source, &["-static"])
}

fn compile(case: &Case, name: &str, body: &str, options: &[&str]) -> Result<String> {
    let main = format!("void _start(void) {{\n{body}\ncall(__NR_exit_group, 0, 0, 0);\nfor (;;) {{}}\n}}\n");
    let alone = ["-static", "-no-pie", "-nostdlib", "-ffreestanding", "-fno-stack-protector"];
    build(case, name, &format!("{PRELUDE}{main}"), &[&alone, options].concat())
}

fn build(case: &Case, name: &str, source: &str, options: &[&str]) -> Result<String> {
    let (file, program) = (case.file(&format!("{name}.c")), case.file(name));
    std::fs::write(&file, source)?;
    let output = Command::new("cc").arg("-O1").args(options).args(["-o", &program, &file]).output()?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(program)
}
