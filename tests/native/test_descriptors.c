#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptors.h"

enum { HIGH = 900, LIMIT = 100 };

static bool is_open(int descriptor) {
    return fcntl(descriptor, F_GETFD) >= 0;
}

static void deny_close_range(void) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof steps / sizeof *steps, steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(2);
}

/* Two stay, also where all others have to be found: one of them is above the limit. */
static void check_in_child(bool is_denied) {
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {LIMIT, LIMIT};
        int first = dup2(STDERR_FILENO, 10), second = dup2(STDERR_FILENO, 50);
        if (dup2(STDERR_FILENO, HIGH) != HIGH || dup2(STDERR_FILENO, 30) != 30 ||
            setrlimit(RLIMIT_NOFILE, &limit) != 0)
            _exit(2);
        if (is_denied)
            deny_close_range();
        descriptors_close_all_but(first, second);
        _exit(is_open(first) && is_open(second) && is_open(STDERR_FILENO) && !is_open(30) &&
                      !is_open(HIGH) && !is_open(STDIN_FILENO)
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_all_others_are_closed(void **state) {
    (void)state;
    check_in_child(false);
    check_in_child(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_others_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
