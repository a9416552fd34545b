#include "child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A raw call with exit signal 0. It is safe because this process has a single thread.
 *
 * Signals to a process group that come in the middle of a fork are given to the child when it is
 * there, but a SIGCONT that is ignored does not take back the SIGTSTP before it, so the child would
 * be stopped for ever; what is blocked is not ignored (kernel/signal.c: __send_signal_locked,
 * sig_ignored; since c3ad2c3b02e9, 4.19). */
pid_t child_fork(void) {
    sigset_t before, blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCONT);
    /* It fails for wrong arguments only, and leaves errno alone otherwise (sigprocmask(2)). */
    sigprocmask(SIG_BLOCK, &blocked, &before);
    pid_t child = (pid_t)syscall(SYS_clone, 0L, 0L, 0L, 0L, 0L);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return child;
}

int child_wait(pid_t child) {
    int status;
    /* __WALL: a child without SIGCHLD is invisible to a plain wait. */
    while (waitpid(child, &status, __WALL) < 0) {
        if (errno != EINTR)
            return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool child_would_be_init(void) {
    char own[64], next[64];
    ssize_t own_bytes = readlink("/proc/self/ns/pid", own, sizeof own);
    ssize_t next_bytes = readlink("/proc/self/ns/pid_for_children", next, sizeof next);
    /* Without /proc it is unknown. Before the first fork the second link may be empty. */
    if (own_bytes < 0)
        return false;
    return own_bytes != next_bytes || memcmp(own, next, (size_t)own_bytes) != 0;
}

bool child_adopts_orphans(void) {
    int subreaper = 0;
    return getpid() == 1 ||
           (prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0L, 0L, 0L) == 0 && subreaper != 0);
}
