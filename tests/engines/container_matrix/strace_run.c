/* The traced program: one execution that makes many kinds of calls, from several threads and processes.
 *
 * It first waits, stopped, so that strace can be attached before its own exec: "strace_run" says its id, stops
 * itself, and becomes "strace_run work". The calls of the first part, which strace doesn't see, are all made again
 * by the second one, which runs the first part as a child of its own. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static char *self;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t together;
static volatile int alarms, turn;

static void fail(const char *what) { perror(what); exit(1); }
static void must(int good, const char *what) { if (!good) fail(what); }
static void on_alarm(int signal) { (void)signal; alarms++; }

/* The first part: says its id and waits for SIGCONT; then execs what it is told to. */
static void stop_then(const char *next)
{
    printf("%d\n", getpid());
    fflush(stdout);
    must(raise(SIGSTOP) == 0, "raise");
    execl(self, self, next, NULL);
    fail("execl");
}

/* A call of the 32-bit table, from a 64-bit program. */
static void call_compat(long number)
{
    __asm__ volatile("int $0x80" : "+a"(number) : "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
}

static void *worker(void *argument)
{
    long n = (long)argument;
    /* Each thread waits for its turn: futex. */
    pthread_mutex_lock(&lock);
    while (turn != n) pthread_cond_wait(&changed, &lock);
    turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_barrier_wait(&together);
    /* Each thread has a call that no other one makes. */
    switch (n) {
    case 0: { struct timespec t = {0, 1000000}; nanosleep(&t, NULL); break; }
    case 1: sched_yield(); break;
    case 2: { char b[8]; must(getrandom(b, 8, 0) == 8, "getrandom"); break; }
    case 3: { struct utsname u; uname(&u); break; }
    case 4: { cpu_set_t set; sched_getaffinity(0, sizeof set, &set); break; }
    case 5: { int f = eventfd(0, EFD_CLOEXEC); must(f >= 0, "eventfd"); close(f); break; }
    case 6: { call_compat(20); syscall(0x40000000 | 39); break; }
    case 7: { void *p = malloc(8 << 20); memset(p, 1, 8 << 20); free(p); break; }
    default: { struct rusage u; getrusage(RUSAGE_THREAD, &u); break; }
    }
    return NULL;
}

static void threads(void)
{
    pthread_t all[9];
    pthread_barrier_init(&together, NULL, 9);
    for (long n = 0; n < 9; n++) must(pthread_create(&all[n], NULL, worker, (void *)n) == 0, "thread");
    for (int n = 0; n < 9; n++) pthread_join(all[n], NULL);
}

static void files(void)
{
    char folder[] = "/tmp/strace_run-XXXXXX";
    must(mkdtemp(folder) != NULL && chdir(folder) == 0, "folder");
    int f = open("a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(f >= 0 && ftruncate(f, 4096) == 0, "open");
    must(pwrite(f, "x", 1, 10) == 1 && lseek(f, 0, SEEK_SET) == 0, "pwrite");
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    must(map != MAP_FAILED && msync(map, 4096, MS_SYNC) == 0 && munmap(map, 4096) == 0, "map");
    must(fdatasync(f) == 0 && fchmod(f, 0644) == 0, "sync");
    must(rename("a", "b") == 0 && link("b", "c") == 0 && symlink("b", "d") == 0, "links");
    must(unlink("b") == 0 && unlink("c") == 0 && unlink("d") == 0, "unlink");
    /* A call that fails counts as well, and so does a number that the kernel doesn't know. */
    must(open("missing", O_RDONLY) < 0 && mkdir("/proc/x", 0700) < 0, "failing");
    must(syscall(0x1f0) < 0, "unknown");
    close(f);
    must(chdir("/") == 0 && rmdir(folder) == 0, "rmdir");
}

static void sockets(void)
{
    int pair[2], ends[2], events = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe2(ends, O_CLOEXEC) == 0, "pair");
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(events, EPOLL_CTL_ADD, pair[0], &event) == 0, "epoll_ctl");
    must(send(pair[1], "x", 1, 0) == 1 && epoll_wait(events, &event, 1, -1) == 1, "epoll");
    struct pollfd polled = {.fd = pair[0], .events = POLLIN};
    char byte;
    must(poll(&polled, 1, -1) == 1 && recv(pair[0], &byte, 1, 0) == 1, "poll");
    struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
    unsigned long long times;
    must(timerfd_settime(timer, 0, &soon, NULL) == 0 && read(timer, &times, 8) == 8, "timerfd");
    must(shutdown(pair[0], SHUT_RDWR) == 0, "shutdown");
}

static void signals(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value = {.tv_usec = 2000}};
    sigset_t mask, old;
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGALRM);
    sigprocmask(SIG_BLOCK, &mask, &old);
    must(setitimer(ITIMER_REAL, &soon, NULL) == 0, "setitimer");
    while (!alarms) sigsuspend(&old);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void processes(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) { call_compat(199); setpgid(0, 0); getppid(); _exit(3); }
    must(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3, "fork");
    child = vfork();
    if (child == 0) _exit(4);
    must(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 4, "vfork");
    /* One that is killed, in the middle of a call that it or another process has made before: a call that a
     * killed process is stopped at by ptrace, strace has seen, and the kernel's tracepoint never does. */
    int never[2];
    char byte;
    must(pipe2(never, 0) == 0, "pipe2");
    child = fork();
    if (child == 0) _exit(read(never[0], &byte, 1) == 1);
    must(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status), "kill");
    /* The first part again, by posix_spawn: see above. */
    char *arguments[] = {self, "again", NULL};
    must(posix_spawn(&child, self, NULL, NULL, arguments, environ) == 0, "spawn");
    must(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status), "stopped");
    kill(child, SIGCONT);
    must(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 0, "again");
}

int main(int count, char **arguments)
{
    self = arguments[0];
    const char *part = count > 1 ? arguments[1] : "";
    if (!strcmp(part, "")) stop_then("work");
    if (!strcmp(part, "again")) stop_then("nothing");
    if (!strcmp(part, "nothing")) return 0;
    threads();
    files();
    sockets();
    signals();
    processes();
    puts("done");
    return 5;
}
