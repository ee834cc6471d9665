//! Many cgroups, made and used by one program: a shell would take minutes.

use super::{TestEnv, with_libc};
use anyhow::Result;

/// What the programs of these tests share: the directory of a cgroup, and calls by number.
const PRELUDE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what) { perror(what); _exit(1); }

static void make(const char *format, const char *parent, int number) {
    char path[512];
    snprintf(path, sizeof path, format, parent, number);
    if (mkdir(path, 0755)) fail(path);
}

static void drop(const char *format, const char *parent, int number) {
    char path[512];
    snprintf(path, sizeof path, format, parent, number);
    if (rmdir(path)) fail(path);
}

/* Moves the current process. */
static void enter(const char *format, const char *parent, int number) {
    char path[512];
    snprintf(path, sizeof path, format, parent, number);
    strcat(path, "/cgroup.procs");
    int file = open(path, O_WRONLY);
    if (file < 0 || write(file, "0", 1) != 1) fail(path);
    close(file);
}
"#;

/// Compiles a program whose `main` has this body; returns its path.
pub fn program(case: &TestEnv, name: &str, body: &str) -> Result<String> {
    let main = format!("int main(int argc, char **argv) {{ (void)argc;\n{body}\nreturn 0; }}\n");
    with_libc(case, name, &format!("{PRELUDE}{main}"))
}
