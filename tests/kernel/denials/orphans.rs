//! What exits without having entered and is no denial (each of them under a filter, which would have to be asked).

use super::{NEEDS, numbered, run_under, start_under};
use crate::{
    common::{Cgroup, LIMIT, NATIVE, Recorder, TestEnv, bare, eventually, expect, names, with_libc},
    support::{
        self, Running, Trial,
        denials::{denied, times},
    },
};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use seccomp_trace::recording::{Origin, Recording};

/// Answers EPERM to times: there is a filter, and something that it denies.
const FILTER: &str = "times=50001";

pub fn tests() -> Vec<Trial> {
    vec![
        support::test("children_that_return_are_no_denials", NEEDS, || {
            none(
                "children",
                "#define _GNU_SOURCE\n#include <sched.h>\n#include <signal.h>\n#include <sys/syscall.h>\n
                #include <sys/wait.h>\n#include <unistd.h>\n
                int main(void) {
                    unsigned long long wanted[11] = { 0, 0, 0, 0, SIGCHLD };
                    if (!fork()) _exit(0);
                    if (!vfork()) _exit(0);
                    if (!syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) _exit(0);
                    if (!syscall(SYS_clone3, wanted, sizeof wanted)) _exit(0);
                    while (wait(0) > 0) {}
                    return 0;
                }",
            )
        }),
        support::test("a_child_born_into_the_cgroup_is_no_denial", NEEDS, born),
        support::test("an_exec_of_a_thread_is_no_denial", NEEDS, executed),
        support::test("a_signal_handlers_return_is_no_denial", NEEDS, || {
            none(
                "signals",
                "#include <signal.h>\n#include <unistd.h>\n
                static void handler(int signal) { (void)signal; }
                int main(void) {
                    signal(SIGALRM, handler);
                    for (int turn = 0; turn < 5; turn++) { ualarm(2000, 2000); pause(); ualarm(0, 0); raise(SIGALRM); }
                    return 0;
                }",
            )
        }),
        #[cfg(target_arch = "x86_64")]
        support::test("what_a_ptracer_injects_is_no_denial", NEEDS, || {
            none(
                "ptracer",
                "#include <signal.h>\n#include <stddef.h>\n#include <sys/ptrace.h>\n#include <sys/syscall.h>\n
                #include <sys/user.h>\n#include <sys/wait.h>\n#include <unistd.h>\n
                int main(void) {
                    int child = fork(), status;
                    if (!child) {
                        ptrace(PTRACE_TRACEME, 0, 0, 0);
                        raise(SIGSTOP);
                        for (int turn = 0; turn < 3; turn++) syscall(SYS_getitimer, 0, 0);
                        _exit(0);
                    }
                    waitpid(child, &status, 0);
                    // Every second stop is an entry: getitimer is made nothing, getpriority at its end.
                    for (int entry = 1; !ptrace(PTRACE_SYSCALL, child, 0, 0); entry = !entry) {
                        if (waitpid(child, &status, 0) < 0 || WIFEXITED(status)) break;
                        long at = offsetof(struct user_regs_struct, orig_rax);
                        long number = ptrace(PTRACE_PEEKUSER, child, at, 0);
                        if (number == SYS_getitimer) ptrace(PTRACE_POKEUSER, child, at, entry ? -1 : SYS_getpriority);
                    }
                    return 0;
                }",
            )
        }),
        support::test("a_stopped_sleep_that_begins_anew_is_no_denial", NEEDS, || {
            none(
                "stopped",
                "#include <signal.h>\n#include <sys/wait.h>\n#include <unistd.h>\n
                int main(void) {
                    int child = fork();
                    if (!child) { usleep(200000); _exit(0); }
                    usleep(50000); kill(child, SIGSTOP); usleep(20000); kill(child, SIGCONT);
                    wait(0);
                    return 0;
                }",
            )
        }),
        support::test("the_call_that_loads_a_filter_is_no_denial", NEEDS, loads),
        support::test("a_call_that_a_task_was_in_when_it_moved_is_no_denial", NEEDS, moved),
        support::test("calls_in_flight_when_we_come_are_no_denials", NEEDS, in_flight),
        support::test("moves_inside_of_a_container_hide_no_denials", NEEDS, moved_inside),
        #[cfg(target_arch = "x86_64")]
        support::test("what_a_ptracer_emulates_is_no_denial_and_is_told", NEEDS, emulated),
        support::test("numbers_that_could_not_be_kept_are_no_denials", NEEDS, lost_numbers),
        #[cfg(target_arch = "x86_64")]
        support::test("calls_that_a_program_dispatches_to_itself_are_no_denials", NEEDS, dispatched),
    ]
}

/// Nothing but what the program is denied at its end, which shows that its filter is asked.
fn none(name: &str, source: &str) -> Result<()> {
    recorded(name, source).map(drop)
}

fn recorded(name: &str, source: &str) -> Result<Recording> {
    let case = TestEnv::new()?;
    let program = with_libc(&case, name, source)?;
    let proof = bare(&case, "proof", "call(__NR_times, 0, 0, 0);")?;
    let script = format!("{program} && {proof}");
    let (recording, _) = run_under(&case, &[FILTER], &[], &["sh", "-c", &script], 0)?;
    ensure!(denied(&recording) == times([("times EPERM", 1)]), "{:?}", denied(&recording));
    Ok(recording)
}

/// Its parent has entered clone3 outside (CLONE_INTO_CGROUP), and nobody inside makes that call.
fn born() -> Result<()> {
    let case = TestEnv::new()?;
    let (place, pipe) = (case.file("place"), case.file("pipe"));
    ensure!(std::process::Command::new("mkfifo").arg(&pipe).status()?.success());
    let script = format!("cat /proc/self/cgroup >{place}.new; mv {place}.new {place}; read line <{pipe}");
    let running = start_under(&case, &[FILTER], &[], &["sh", "-c", &script])?;
    let path = eventually("its cgroup is told", || {
        let text = std::fs::read_to_string(&place).ok()?;
        text.lines().find_map(|line| line.strip_prefix("0::").map(str::to_owned))
    })?;
    let source = "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <linux/sched.h>\n#include <signal.h>\n
        #include <sys/syscall.h>\n#include <sys/wait.h>\n#include <unistd.h>\n
        int main(int count, char **words) {
            struct clone_args wanted = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
            wanted.cgroup = open(words[count - 1], O_RDONLY);
            if (!syscall(SYS_clone3, &wanted, sizeof wanted)) { syscall(SYS_times, 0); _exit(0); }
            return wait(0) < 0;
        }";
    let (program, filter) = (with_libc(&case, "born", source)?, case.file("filter"));
    let directory = Cgroup::named()?.root().join(path.trim_start_matches('/')).display().to_string();
    let words = [filter.as_str(), &numbered(FILTER), "--", &program, &directory];
    expect(&Running::start(&mut case.command(words))?.finish(LIMIT)?, 0, &[])?;
    std::fs::write(&pipe, "\n")?;
    expect(&case.finish(running)?, 0, &[])?;
    ensure!(denied(&case.recording()?) == times([("times EPERM", 1)]), "{:?}", denied(&case.recording()?));
    Ok(())
}

/// By execveat, which returns as execve (and nobody makes that call here), to the leader's id.
fn executed() -> Result<()> {
    let case = TestEnv::new()?;
    let proof = bare(&case, "proof", "call(__NR_times, 0, 0, 0);")?;
    let source = "#define _GNU_SOURCE\n#include <pthread.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n
        static char *words[] = { 0, 0 };
        static void *other(void *nothing) {
            syscall(SYS_execveat, -1, words[0], words, 0, 0);
            return nothing;
        }
        int main(int count, char **given) {
            pthread_t thread;
            words[0] = given[count - 1];
            pthread_create(&thread, 0, other, 0);
            for (;;) pause();
        }";
    let program = with_libc(&case, "threads", source)?;
    let (recording, _) = run_under(&case, &[FILTER], &[], &[&program, &proof], 0)?;
    ensure!(denied(&recording) == times([("times EPERM", 1)]), "{:?}", denied(&recording));
    Ok(())
}

/// Of its own, for all its threads: those are in calls meanwhile.
fn loads() -> Result<()> {
    let case = TestEnv::new()?;
    let source =
        "#define _GNU_SOURCE\n#include <linux/filter.h>\n#include <linux/seccomp.h>\n#include <pthread.h>\n
        #include <sys/prctl.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n
        static void *other(void *nothing) { for (int n = 0; n < 3; n++) usleep(30000); return nothing; }
        int main(void) {
            struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
            struct sock_fprog program = { 1, code };
            pthread_t thread;
            pthread_create(&thread, 0, other, 0);
            usleep(10000);
            if (syscall(SYS_seccomp, 1, SECCOMP_FILTER_FLAG_TSYNC, &program)) return 99;
            if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 98;
            pthread_join(thread, 0);
            return 0;
        }";
    let program = with_libc(&case, "loads", source)?;
    expect(&case.run(&[], &[&program])?, 0, &[])?;
    let recording = case.recording()?;
    ensure!(denied(&recording).is_empty(), "{:?}", denied(&recording));
    Ok(())
}

/// It waits outside, is moved in, goes on, and is then denied something.
fn moved() -> Result<()> {
    let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
    let filter = with_libc(&case, "filter", include_str!("filter.c"))?;
    // Until somebody else opens it; nobody in the cgroup makes this call.
    let pipe = case.file("pipe");
    ensure!(std::process::Command::new("mkfifo").arg(&pipe).status()?.success());
    let source =
        "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <linux/openat2.h>\n#include <sys/syscall.h>\n
        #include <unistd.h>\n
        int main(int count, char **words) {
            struct open_how how = { 0 };
            syscall(SYS_openat2, AT_FDCWD, words[count - 1], &how, sizeof how);
            for (int turn = 0; turn < 2; turn++) syscall(SYS_times, 0);
            return 0;
        }";
    let waiter = with_libc(&case, "waiter", source)?;
    let words = [filter.as_str(), &numbered(FILTER), "--", &waiter, &pipe];
    let outside = Running::start(&mut case.command(words))?;
    let pid = outside.pid().as_raw_nonzero();
    eventually("it waits", || {
        let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        call.starts_with("437 ").then_some(())
    })?;
    // What runs there moves it in, under the same filter.
    let script = format!(
        "set -e; cgroup=$(sed -n 's/^0:://p' /proc/self/cgroup); echo {pid} >{}$cgroup/cgroup.procs; : >{pipe}; \
         while [ -e /proc/{pid}/exe ]; do sleep 0.05; done",
        cgroup.root().display()
    );
    let (recording, _) = run_under(&case, &[FILTER], &[], &["sh", "-c", &script], 0)?;
    outside.finish(LIMIT)?;
    ensure!(denied(&recording) == times([("times EPERM", 2)]), "{:?}", denied(&recording));
    Ok(())
}

/// A process under a filter, some threads of which sleep when we come; what they are denied later is told.
fn in_flight() -> Result<()> {
    let source = "#define _GNU_SOURCE\n#include <poll.h>\n#include <pthread.h>\n#include <signal.h>\n#include <sys/epoll.h>\n
        #include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\n
        static volatile int go;
        static void handler(int signal) { (void)signal; go = 1; }
        static void *polls(void *nothing) { while (!go) poll(0, 0, 300); syscall(SYS_times, 0); return nothing; }
        static void *waits(void *nothing) {
            struct epoll_event event;
            int epoll = epoll_create1(0);
            while (!go) epoll_wait(epoll, &event, 1, 300);
            return nothing;
        }
        static void *spins(void *nothing) { while (!go) {} return nothing; }
        int main(void) {
            pthread_t threads[3];
            struct timespec time = { 10, 0 };
            signal(SIGUSR1, handler);
            pthread_create(threads, 0, polls, 0);
            pthread_create(threads + 1, 0, waits, 0);
            pthread_create(threads + 2, 0, spins, 0);
            while (!go) nanosleep(&time, 0);
            for (int n = 0; n < 3; n++) pthread_join(threads[n], 0);
            return 0;
        }";
    let (case, cgroup) = (TestEnv::new()?, Cgroup::create()?);
    let filter = with_libc(&case, "filter", include_str!("filter.c"))?;
    let program = with_libc(&case, "busy", source)?;
    let enter = format!("echo 0 >{}/cgroup.procs && exec \"$@\"", cgroup.directory().display());
    let words = ["sh", "-c", &enter, "sh", filter.as_str(), &numbered(FILTER), "--", &program];
    let running = Running::start(&mut case.command(words))?;
    eventually("all its threads run", || {
        let threads =
            std::fs::read_dir(format!("/proc/{}/task", running.pid().as_raw_nonzero())).ok()?.count();
        (threads == 4).then_some(())
    })?;
    let recorder = Recorder::start(&case, &["--cgroup", &cgroup.path], &[])?;
    running.signal(Signal::USR1)?;
    expect(&running.finish(LIMIT)?, 0, &[])?;
    expect(&recorder.interrupt()?, 0, &["attached late"])?;
    let recording = case.recording()?;
    ensure!(denied(&recording) == times([("times EPERM", 1)]), "{:?}", denied(&recording));
    Ok(())
}

/// More numbers than a slot keeps: they are made, and so are those that it has no room for.
fn lost_numbers() -> Result<()> {
    let case = TestEnv::new()?;
    let body = "for (long n = 1000; n < 6500; n++) call(n, 0, 0, 0); call(__NR_times, 0, 0, 0);";
    let program = bare(&case, "many", body)?;
    let (recording, _) = run_under(&case, &[FILTER], &[], &[&program], 125)?;
    ensure!(recording.lost.syscalls == 5500 - 4096, "{:?}", recording.lost);
    ensure!(denied(&recording) == times([("times EPERM", 1)]), "{:?}", denied(&recording));
    Ok(())
}

/// By syscall user dispatch, as Wine does: the kernel makes no call of them, and sends SIGSYS instead.
#[cfg(target_arch = "x86_64")]
fn dispatched() -> Result<()> {
    let recording = recorded(
        "dispatched",
        "#include <signal.h>\n#include <sys/prctl.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n
        static volatile char selector;
        static volatile sig_atomic_t count;
        static void handler(int signal) { selector = 0; count += signal != 0; }
        int main(void) {
            signal(SIGSYS, handler);
            /* PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON; 1: SYSCALL_DISPATCH_FILTER_BLOCK. */
            if (prctl(59, 1, 0, 0, &selector)) return 1;
            for (int turn = 0; turn < 3; turn++) { selector = 1; syscall(SYS_getpriority, 0, 0); }
            return count == 3 ? 0 : 2;
        }",
    )?;
    let seen = names(&recording, NATIVE, Origin::Application);
    ensure!(!seen.contains("getpriority"), "{seen:?}");
    Ok(())
}

/// A thread that another one moves from cgroup to cgroup of their own while it is in no call.
fn moved_inside() -> Result<()> {
    let case = TestEnv::new()?;
    let root = Cgroup::named()?.root().display().to_string();
    let source = "#include <fcntl.h>\n#include <stdio.h>\n#include <string.h>\n#include <sys/mman.h>\n#include <sys/stat.h>\n
        #include <sys/syscall.h>\n#include <sys/wait.h>\n#include <unistd.h>\n
        static char place[2][600];
        int main(int count, char **words) {
            long calls[] = { SYS_times, SYS_getpriority, SYS_getitimer, SYS_getppid };
            volatile int *turn = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            char own[300] = { 0 }, text[20];
            FILE *file = fopen(\"/proc/self/cgroup\", \"r\");
            while (fgets(own, sizeof own, file) && strncmp(own, \"0::\", 3)) {}
            own[strcspn(own, \"\\n\")] = 0;
            for (int n = 0; n < 2; n++) {
                snprintf(place[n], sizeof place[n], \"%s%s/%c\", words[count - 1], own + 3, 'a' + n);
                if (mkdir(place[n], 0755)) return 1;
                strcat(place[n], \"/cgroup.procs\");
            }
            int child = fork();
            if (!child) {
                for (int n = 0; n < 4; n++) { turn[0] = 2 * n + 1; while (turn[0] != 2 * n + 2) {} syscall(calls[n], -1, 0); }
                _exit(0);
            }
            snprintf(text, sizeof text, \"%d\", child);
            for (int n = 0; n < 4; n++) {
                while (turn[0] != 2 * n + 1) {}
                usleep(5000);
                int to = open(place[n & 1], O_WRONLY);
                if (write(to, text, strlen(text)) < 0) return 2;
                close(to);
                turn[0] = 2 * n + 2;
            }
            wait(0);
            for (int n = 0; n < 2; n++) { place[n][strlen(place[n]) - strlen(\"/cgroup.procs\")] = 0; rmdir(place[n]); }
            return 0;
        }";
    let program = with_libc(&case, "mover", source)?;
    let names = ["times", "getpriority", "getitimer", "getppid"];
    let answers = names.map(|name| format!("{name}=50001"));
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let (recording, _) = run_under(&case, &answers, &[], &[&program, &root], 0)?;
    let expected = names.map(|name| (format!("{name} EPERM"), 1));
    ensure!(denied(&recording) == expected.into(), "{:?}", denied(&recording));
    Ok(())
}

/// By PTRACE_SYSEMU, and by skipping what a filter hands to it.
#[cfg(target_arch = "x86_64")]
fn emulated() -> Result<()> {
    let sysemu = "long number = SYS_getpriority;
        for (ptrace(PTRACE_SYSEMU, child, 0, 0); waitpid(child, &status, 0) > 0 && !WIFEXITED(status); ptrace(PTRACE_SYSEMU, child, 0, 0)) {
            struct user_regs_struct regs;
            ptrace(PTRACE_GETREGS, child, 0, &regs);
            if ((long)regs.orig_rax != number) continue;
            regs.rax = 7;
            ptrace(PTRACE_SETREGS, child, 0, &regs);
            ptrace(PTRACE_CONT, child, 0, 0);
        }";
    let skip = "ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESECCOMP);
        for (ptrace(PTRACE_CONT, child, 0, 0); waitpid(child, &status, 0) > 0 && !WIFEXITED(status); ptrace(PTRACE_CONT, child, 0, 0)) {
            struct user_regs_struct regs;
            if (status >> 8 != (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) continue;
            ptrace(PTRACE_GETREGS, child, 0, &regs);
            regs.orig_rax = -1;
            regs.rax = 7;
            ptrace(PTRACE_SETREGS, child, 0, &regs);
        }";
    for (name, tracer) in [("sysemu", sysemu), ("skipper", skip)] {
        let source = format!(
            "#define _GNU_SOURCE\n#include <linux/filter.h>\n#include <linux/seccomp.h>\n#include <signal.h>\n#include <stddef.h>\n
            #include <sys/ptrace.h>\n#include <sys/syscall.h>\n#include <sys/user.h>\n#include <sys/wait.h>\n#include <unistd.h>\n
            int main(void) {{
                int child = fork(), status;
                if (!child) {{
                    struct sock_filter code[] = {{
                        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 1),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                    }};
                    struct sock_fprog program = {{ 4, code }};
                    if ({}) syscall(SYS_seccomp, 1, 0, &program);
                    ptrace(PTRACE_TRACEME, 0, 0, 0);
                    raise(SIGSTOP);
                    return syscall(SYS_getpriority, 0, 0) != 7;
                }}
                waitpid(child, &status, 0);
                {tracer}
                return !WIFEXITED(status) || WEXITSTATUS(status);
            }}",
            i32::from(name == "skipper")
        );
        let case = TestEnv::new()?;
        let program = with_libc(&case, name, &source)?;
        let (recording, output) = run_under(&case, &[FILTER], &[], &[&program], 0)?;
        ensure!(denied(&recording).is_empty(), "{name}: {:?}", denied(&recording));
        expect(&output, 0, &[&format!("a tracer in it ({name}) answers calls")])?;
        run_under(&case, &[FILTER], &["--strict"], &[&program], 125)?;
        // The same without any filter of a container.
        let output = case.run(&[], &[&program])?;
        expect(&output, 0, &[&format!("a tracer in it ({name}) answers calls")])?;
    }
    Ok(())
}
