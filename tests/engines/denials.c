/* What Docker's default profile denies, beside what it allows: see EXPECTED in denials.rs. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *thread(void *nothing) {
    syscall(SYS_personality, 0x1234);
    syscall(SYS_personality, 0xffffffff);
    return nothing;
}

int main(int count, char **words) {
    pthread_t other;
    if (count > 1 && !strcmp(words[1], "int80")) {
        long result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
        return result < 0;
    }
    syscall(SYS_add_key, 0, 0, 0, 0, 0);
    if (count > 1) return 0;
    syscall(SYS_personality, 0x1234);
    syscall(SYS_personality, 0xffffffff);
    syscall(SYS_personality, 0x1234);
    if (!fork()) {
        syscall(SYS_personality, 0x1234);
        syscall(SYS_add_key, 0, 0, 0, 0, 0);
        _exit(0);
    }
    wait(0);
    // As after a clone3 that was answered EPERM: "can't start new thread".
    if (pthread_create(&other, 0, thread, 0)) return 9;
    pthread_join(other, 0);
    syscall(SYS_unshare, CLONE_NEWNS);
    return 0;
}
