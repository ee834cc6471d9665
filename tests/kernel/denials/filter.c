/* filter [32:]NUMBER=ANSWER… -- COMMAND…: loads a filter that gives these answers (SECCOMP_RET_…, in hex), and becomes
 * COMMAND. To be run as root: no-new-privileges is not set. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of 64-bit and of 32-bit programs. */
#if defined __aarch64__
static const unsigned NATIVE = AUDIT_ARCH_AARCH64, COMPAT = AUDIT_ARCH_ARM;
#else
static const unsigned NATIVE = AUDIT_ARCH_X86_64, COMPAT = AUDIT_ARCH_I386;
#endif

int main(int count, char **words) {
    struct sock_filter code[128];
    unsigned short length = 0;
    int at = 1;
    for (; at < count && strcmp(words[at], "--") && length < 120; at++) {
        char *word = words[at];
        unsigned arch = strncmp(word, "32:", 3) ? NATIVE : COMPAT;
        unsigned number = strtoul(arch == COMPAT ? word + 3 : word, &word, 0);
        unsigned answer = strtoul(word + 1, 0, 16);
        struct sock_filter one[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 0, 3),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, answer),
        };
        memcpy(code + length, one, sizeof one);
        length += sizeof one / sizeof *one;
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { length, code };
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) {
        perror("seccomp");
        return 99;
    }
    execvp(words[at + 1], words + at + 1);
    perror("execvp");
    return 99;
}
