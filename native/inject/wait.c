#include "wait.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { SECOND_NS = 1000 * 1000 * 1000 };

int64_t wait_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* SIGCHLD is blocked, so it stays pending for us; polling instead would keep the tracee itself from
 * the only CPU. */
int wait_for_stop(pid_t tid, int64_t until_ns) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        int status;
        pid_t found = waitpid(tid, &status, __WALL | (until_ns == INT64_MAX ? 0 : WNOHANG));
        if (found == tid)
            return WIFSTOPPED(status) ? status : WAIT_GONE;
        if (found < 0 && errno != EINTR)
            return WAIT_GONE;
        int64_t left = until_ns - wait_clock_ns();
        if (until_ns == INT64_MAX)
            continue;
        if (left <= 0)
            return WAIT_LATE;
        struct timespec limit = {left / SECOND_NS, left % SECOND_NS};
        (void)sigtimedwait(&child, NULL, &limit);
    }
}
