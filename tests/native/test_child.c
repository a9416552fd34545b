#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"

enum { FORKS = 1000, DELAY_MAX_US = 400, LAST_RESORT_MS = 60 * 1000 };

/* Says by a byte that it is about to fork, and once at the end. */
_Noreturn static void fork_repeatedly(int told) {
    for (int i = 0; i < FORKS; i++) {
        if (write(told, "f", 1) != 1)
            _exit(1);
        pid_t child = child_fork();
        if (child == 0)
            _exit(i % 100);
        if (child < 0 || child_wait(child) != i % 100)
            _exit(1);
    }
    _exit(write(told, "e", 1) == 1 ? 0 : 1);
}

/* As by Ctrl-Z and fg, at any moment of a fork: no child stays stopped. */
static void test_stopped_and_continued(void **state) {
    (void)state;
    int ends[2], status;
    char told = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t group = fork();
    assert_true(group >= 0);
    if (group == 0) {
        setpgid(0, 0);
        fork_repeatedly(ends[1]);
    }
    setpgid(group, group);
    struct pollfd next = {.fd = ends[0], .events = POLLIN};
    for (int i = 0; told != 'e' && poll(&next, 1, LAST_RESORT_MS) == 1; i++) {
        assert_int_equal(read(ends[0], &told, 1), 1);
        const struct timespec delay = {.tv_nsec = i % DELAY_MAX_US * 1000};
        nanosleep(&delay, NULL);
        kill(-group, SIGSTOP);
        kill(-group, SIGCONT);
    }
    kill(-group, SIGKILL);
    assert_int_equal(waitpid(group, &status, 0), group);
    assert_int_equal(told, 'e');
    close(ends[0]);
    close(ends[1]);
}

/* The mask of signals is the caller's again in both. */
static void test_mask_stays(void **state) {
    (void)state;
    sigset_t before, after;
    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &before), 0);
    for (int is_blocked = 0; is_blocked < 2; is_blocked++) {
        sigset_t set = before;
        if (is_blocked)
            sigaddset(&set, SIGCONT);
        sigprocmask(SIG_SETMASK, &set, NULL);
        pid_t child = child_fork();
        sigprocmask(SIG_BLOCK, NULL, &after);
        if (child == 0)
            _exit(sigismember(&after, SIGCONT));
        assert_int_equal(child_wait(child), is_blocked);
        assert_int_equal(sigismember(&after, SIGCONT), is_blocked);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_and_continued),
        cmocka_unit_test(test_mask_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
