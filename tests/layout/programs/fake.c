/* fake CALL INDEX VALUE [INDEX VALUE] COMMAND...: runs COMMAND under a seccomp filter that returns
 * 0 without doing anything if the system call has these arguments: fake success. */
#define _GNU_SOURCE
#include <ctype.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sock_filter code[16];
    unsigned short used = 0;
    int at = 2, pairs = 0;
    if (argc < 5)
        return 99;
    while (at + 4 * pairs < argc && isdigit((unsigned char)argv[at + 2 * pairs][0]))
        pairs++;
    code[used++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    code[used++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)strtoul(argv[1], NULL, 0),
                                     0, (unsigned char)(2 * pairs + 1));
    for (int i = 0; i < pairs; i++, at += 2) {
        unsigned argument = (unsigned)offsetof(struct seccomp_data, args) +
                            8 * (unsigned)strtoul(argv[at], NULL, 0);
        code[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument);
        code[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                    (unsigned)strtoul(argv[at + 1], NULL, 0), 0,
                                                    (unsigned char)(2 * (pairs - i) - 1));
    }
    code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO);
    code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {used, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 98;
    execv(argv[at], argv + at);
    return 97;
}
