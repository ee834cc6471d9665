/* A thread enters read on one processor, leaves it on another one, is moved back without a call, and makes one that is denied:
 * on a processor where the last call, which has ended elsewhere, was its own. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TURNS = 20 };
static int ends[2], first, last;
static volatile int reads, has_read;

static void move(pid_t thread, int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(thread, sizeof set, &set);
}

static void *victim(void *id) {
    char byte;
    *(volatile pid_t *)id = syscall(SYS_gettid);
    for (int turn = 0; turn < TURNS; turn++) {
        while (sched_getcpu() != first) {}
        reads = turn + 1;
        read(ends[0], &byte, 1);
        has_read = turn + 1;
        while (sched_getcpu() != first) {}
        syscall(SYS_times, 0);
    }
    return 0;
}

int main(void) {
    cpu_set_t set;
    pthread_t thread;
    volatile pid_t id = 0;
    sched_getaffinity(0, sizeof set, &set);
    for (first = 0; !CPU_ISSET(first, &set); first++) {}
    for (last = CPU_SETSIZE - 1; !CPU_ISSET(last, &set); last--) {}
    move(0, last);
    if (pipe(ends) || pthread_create(&thread, 0, victim, (void *)&id)) return 1;
    while (!id) {}
    for (int turn = 0; turn < TURNS; turn++) {
        move(id, first);
        while (reads != turn + 1) {}
        usleep(20000);
        move(id, last);
        write(ends[1], "", 1);
        while (has_read != turn + 1) {}
    }
    move(id, first);
    return pthread_join(thread, 0);
}
