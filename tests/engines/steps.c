/* Steps, one after the other: `move CGROUP`, `call NUMBER`, `fork` (a child goes on alone), `thread` (a thread goes on alone), `filters COUNT`, `filter-of-all` (for all threads), `mount FOLDER` (the
   hierarchy), `chroot FOLDER`, `until FILE`, `exec`: the rest as a program's words. `asked`: the call of a number that another process may change. What changes it is `poke PID NUMBER`, by its memory;
   `inject PID NUMBER` has it make a call at once, by ptrace. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
static void fail(const char *what) { perror(what); exit(1); }
static int argc;
static char **argv;
static void filter(int flags) {
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog all = {1, &allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &all)) fail("seccomp");
}
/* All processes of this program have these at the same place: it is linked to fixed addresses. */
static volatile long asked = SYS_getppid;
extern const char instruction[];
#if defined __x86_64__
__asm__(".text\ninstruction: syscall\nud2");
static void prepare(struct user_regs_struct *registers, long number) {
    registers->rip = (unsigned long)instruction;
    registers->rax = number;
    registers->orig_rax = -1; /* Else the kernel restarts the call that was interrupted. */
}
#elif defined __aarch64__
__asm__(".text\ninstruction: svc 0\nbrk 0");
static void prepare(struct user_regs_struct *registers, long number) {
    registers->pc = (unsigned long)instruction;
    registers->regs[8] = number;
}
#endif
static void poke(pid_t pid, long number) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int file = open(path, O_WRONLY);
    if (file < 0 || pwrite(file, &number, sizeof number, (long)&asked) != sizeof number) fail(path);
    close(file);
}
static void stops_by(pid_t pid, int signal) {
    int status;
    if (waitpid(pid, &status, 0) != pid) fail("waitpid");
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != signal) { fprintf(stderr, "status %x\n", status); exit(1); }
}
static void inject(pid_t pid, long number) {
    struct user_regs_struct before, registers;
    struct iovec all = {&before, sizeof before}, changed = {&registers, sizeof registers};
    if (ptrace(PTRACE_ATTACH, pid, 0, 0)) fail("attach");
    stops_by(pid, SIGSTOP);
    if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &all)) fail("get registers");
    registers = before;
    prepare(&registers, number);
    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &changed)) fail("set registers");
    if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0)) fail("step");
    stops_by(pid, SIGTRAP);
    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &all)) fail("set registers back");
    if (ptrace(PTRACE_DETACH, pid, 0, 0)) fail("detach");
}
static void *steps(void *from) {
    char path[512];
    for (int i = (int)(long)from; i < argc; i++) {
        const char *step = argv[i];
        if (!strcmp(step, "move")) {
            snprintf(path, sizeof path, "%s/cgroup.procs", argv[++i]);
            int file = open(path, O_WRONLY);
            if (file < 0 || write(file, "0", 1) != 1) fail(path);
            close(file);
        } else if (!strcmp(step, "call")) syscall(atoi(argv[++i]), 0, 0, 0, 0, 0, 0);
        else if (!strcmp(step, "asked")) syscall(asked, 0, 0, 0, 0, 0, 0);
        else if (!strcmp(step, "poke")) { poke(atoi(argv[i + 1]), atol(argv[i + 2])); i += 2; }
        else if (!strcmp(step, "inject")) { inject(atoi(argv[i + 1]), atol(argv[i + 2])); i += 2; }
        else if (!strcmp(step, "fork")) { if (fork()) { wait(0); return 0; } }
        else if (!strcmp(step, "mount")) {
            if (mkdir(argv[++i], 0755) || mount("none", argv[i], "cgroup2", 0, 0)) fail(step);
        } else if (!strcmp(step, "chroot")) { if (chroot(argv[++i]) || chdir("/")) fail(step); }
        else if (!strcmp(step, "thread")) {
            pthread_t thread;
            if (pthread_create(&thread, 0, steps, (void *)(long)(i + 1)) || pthread_join(thread, 0)) fail(step);
            return 0;
        } else if (!strcmp(step, "filters")) { for (int left = atoi(argv[++i]); left > 0; left--) filter(0); }
        else if (!strcmp(step, "filter-of-all")) filter(SECCOMP_FILTER_FLAG_TSYNC);
        else if (!strcmp(step, "until")) { while (access(argv[i + 1], F_OK)) usleep(5000); i++; }
        else if (!strcmp(step, "say")) { puts(argv[++i]); fflush(stdout); }
        else if (!strcmp(step, "exec")) { execv("/proc/self/exe", argv + i); fail("exec"); }
        else { errno = EINVAL; fail(step); }
    }
    return 0;
}
int main(int count, char **words) {
    argc = count;
    argv = words;
    steps((void *)1L);
    return 0;
}
