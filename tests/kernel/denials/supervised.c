/* A thread answers for another one (SCMP_ACT_NOTIFY): first with a signal, after which the kernel asks it about the same call again,
 * and then with EIO. Its profile is run under again, so it makes the same calls each time: who waits reads a pipe. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ready[2];
static volatile sig_atomic_t signals;

static void handler(int signal) { signals += signal != 0; }

static void *supervisor(void *victim) {
    int listener;
    if (read(ready[0], &listener, sizeof listener) != sizeof listener) return "read";
    for (int turn = 0; turn < 2; turn++) {
        struct seccomp_notif asked;
        memset(&asked, 0, sizeof asked);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) return "recv";
        if (turn == 0) {
            pthread_kill(*(pthread_t *)victim, SIGUSR1);
        } else {
            struct seccomp_notif_resp answer = { .id = asked.id, .error = -EIO };
            if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer)) return "send";
        }
    }
    return 0;
}

int main(void) {
    pthread_t self = pthread_self(), thread;
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_times, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { 4, code };
    void *trouble = 0;
    int listener;
    sigaction(SIGUSR1, &action, 0);
    if (pipe(ready) || pthread_create(&thread, 0, supervisor, &self)) return 1;
    listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0 || write(ready[1], &listener, sizeof listener) != sizeof listener) return 2;
    if (syscall(SYS_times, 0) != -1 || errno != EIO || signals != 1) return 3;
    return pthread_join(thread, &trouble) || trouble ? 4 : 0;
}
