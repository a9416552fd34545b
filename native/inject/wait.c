#include "wait.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "../common/clock.h"

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
        int64_t left = until_ns - clock_now_ns();
        if (until_ns == INT64_MAX)
            continue;
        if (left <= 0)
            return WAIT_LATE;
        struct timespec limit = {left / NS_A_SECOND, left % NS_A_SECOND};
        (void)sigtimedwait(&child, NULL, &limit);
    }
}
