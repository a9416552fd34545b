/* narrow filter|strict prctl|seccomp: permits itself only the calls that it still needs, and exits
 * with 5. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(number)                                                                              \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int count, char **words) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_close),
        ALLOW(SYS_exit),
        ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (count != 3)
        return 1;
    int is_strict = strcmp(words[1], "strict") == 0, by_prctl = strcmp(words[2], "prctl") == 0;
    int mode = is_strict ? SECCOMP_MODE_STRICT : SECCOMP_MODE_FILTER;
    int operation = is_strict ? SECCOMP_SET_MODE_STRICT : SECCOMP_SET_MODE_FILTER;
    void *argument = is_strict ? NULL : &program;
    int copy = dup(1);
    long result = prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
    result |= by_prctl ? prctl(PR_SET_SECCOMP, mode, argument) : 0;
    result |= by_prctl ? 0 : syscall(SYS_seccomp, operation, 0, argument);
    if (result != 0)
        return 2;
    if (write(copy, "lives\n", 6) != 6)
        return 3;
    if (!is_strict && close(copy) != 0)
        return 4;
    if (!is_strict)
        return 5;
    /* _exit(2) is exit_group(2) in libc, which the strict mode does not permit. */
    syscall(SYS_exit, 5);
    return 6;
}
