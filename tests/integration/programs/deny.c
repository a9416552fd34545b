/* deny ERRNO|kill[:CALL[:ARGUMENT]] COMMAND...: runs COMMAND under a seccomp filter that makes a
 * system call fail with this errno (0 fakes success), as container profiles do: prctl 67 unless a
 * number is given, and with ARGUMENT only if that is its first argument. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    unsigned error = 0, call = SYS_prctl, argument = 67;
    int kills = argc > 1 && strncmp(argv[1], "kill:", 5) == 0;
    int given = argc < 3 ? 0
                : kills  ? 1 + sscanf(argv[1] + 5, "%u:%u", &call, &argument)
                         : sscanf(argv[1], "%u:%u:%u", &error, &call, &argument);
    if (given < 1)
        return 99;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        /* Without an argument both branches deny. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument, 0, given == 2 ? 0 : 1),
        BPF_STMT(BPF_RET | BPF_K, kills ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 98;
    execv(argv[2], argv + 2);
    return 97;
}
