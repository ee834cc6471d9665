//! Small C programs, compiled on the spot. Those without a C library make known calls and no others, and need no
//! 32-bit library for the 32-bit ones.

use super::compile_elsewhere;
use anyhow::{Context as _, Result, ensure};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

pub use compile_elsewhere::is_elsewhere;

/// `call(NUMBER, A, B, C)` (the other arguments are 0), `say(TEXT, RESULT)`, and the numbers where the compiler has them.
const PRELUDE: &str = r#"
#if defined __x86_64__
#include <asm/unistd.h>
static long call(long number, long a, long b, long c) {
    long result;
    register long r10 __asm__("r10") = 0, r8 __asm__("r8") = 0, r9 __asm__("r9") = 0;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
/* By the i386 table, from a 64-bit program; what is pointed to must lie below 4 GiB. */
static __attribute__((unused)) long call_32(long number, long a, long b, long c) {
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c)
                     : "r8", "r9", "r10", "r11", "memory");
    return result;
}
static __attribute__((unused)) long call_compat(long number) { return call_32(number, 0, 0, 0); }
#elif defined __i386__
#define __NR_write 4
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
    register long x3 __asm__("x3") = 0, x4 __asm__("x4") = 0, x5 __asm__("x5") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#elif defined __arm__
#define __NR_write 4
#define __NR_times 43
#define __NR_getppid 64
#define __NR_exit_group 248
static long call(long number, long a, long b, long c) {
    register long r7 __asm__("r7") = number;
    register long r0 __asm__("r0") = a;
    register long r1 __asm__("r1") = b;
    register long r2 __asm__("r2") = c;
    register long r3 __asm__("r3") = 0, r4 __asm__("r4") = 0, r5 __asm__("r5") = 0;
    __asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5) : "memory");
    return r0;
}
#endif
/* A line on stdout: what, and a call's result. */
static __attribute__((unused)) void say(const char *what, long result) {
    char line[64], digits[24];
    int end = 0, count = 0;
    unsigned long left = result < 0 ? -(unsigned long)result : (unsigned long)result;
    while (*what && end < 32) line[end++] = *what++;
    line[end++] = ' ';
    if (result < 0) line[end++] = '-';
    do digits[count++] = '0' + left % 10; while (left /= 10);
    while (count) line[end++] = digits[--count];
    line[end++] = '\n';
    call(__NR_write, 1, (long)line, end);
}
"#;

/// Compiles a program into `folder` that does what `body` says and then exits by `exit_group`; returns its path.
pub fn bare(folder: &Path, name: &str, body: &str) -> Result<String> {
    bare_with(folder, name, "", body)
}

/// As [`bare`], a 32-bit program.
pub fn bare_32_bit(folder: &Path, name: &str, body: &str) -> Result<String> {
    alone(folder, name, "", body, &["-m32"])
}

/// As [`bare`], with functions for the body.
pub fn bare_with(folder: &Path, name: &str, functions: &str, body: &str) -> Result<String> {
    alone(folder, name, functions, body, &[])
}

/// Compiles a whole C program, with the C library and threads; returns its path.
pub fn with_libc(folder: &Path, name: &str, source: &str) -> Result<String> {
    build(folder, name, source, &["-pthread"])
}

/// As [`with_libc`], with all of it inside: for containers that have none.
pub fn static_with_libc(folder: &Path, name: &str, source: &str) -> Result<String> {
    build(folder, name, source, &["-pthread", "-static", "-no-pie"])
}

fn alone(folder: &Path, name: &str, functions: &str, body: &str, options: &[&str]) -> Result<String> {
    let main = format!("void _start(void) {{\n{body}\ncall(__NR_exit_group, 0, 0, 0);\nfor (;;) {{}}\n}}\n");
    let alone = ["-static", "-no-pie", "-nostdlib", "-ffreestanding", "-fno-stack-protector"];
    build(folder, name, &format!("{PRELUDE}{functions}{main}"), &[&alone, options].concat())
}

fn build(folder: &Path, name: &str, source: &str, options: &[&str]) -> Result<String> {
    let (file, program) = (folder.join(format!("{name}.c")), folder.join(name));
    let options = [&["-O1"], options].concat();
    if is_elsewhere() {
        std::fs::write(&program, compile_elsewhere::compile(source, &options)?)?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    } else {
        std::fs::write(&file, source)?;
        let output = Command::new("cc").args(options).arg("-o").args([&program, &file]).output()?;
        ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(program.to_str().context("a folder that is not UTF-8")?.to_owned())
}
