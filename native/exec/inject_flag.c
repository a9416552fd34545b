#include "inject_flag.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "message.h"
#include "procfile.h"

extern char **environ;

/* The exec goes on after it has closed its descriptors: its code is not mapped yet, and with a
 * shared layout the program is still being moved, by a tracer of its own. */
static const struct timespec between_tries = {.tv_nsec = 2 * 1000 * 1000};
enum { TRY_SECONDS = 1, OUTCOME_BYTES = 64 };

static bool find_helper(char path[PATH_MAX]) {
    static const char name[] = "ksmrun-attach";
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof name);
    path[length < 0 ? 0 : length] = '\0';
    char *slash = strrchr(path, '/');
    memcpy(slash == NULL ? path : slash + 1, name, sizeof name);
    return access(path, X_OK) == 0;
}

/* What it says: PID OUTCOME and more. Returns false where it cannot be started. */
static bool run_helper(const char *path, pid_t pid, char outcome[OUTCOME_BYTES]) {
    int ends[2];
    char number[16], line[256];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    /* Else dup2() might have nothing to do, and leave it to be closed on exec. */
    ends[1] = descriptor_above_stdio(ends[1]);
    snprintf(number, sizeof number, "%d", pid);
    pid_t child = child_fork();
    if (child == 0) {
        const char *const words[] = {path, "on", number, NULL};
        if (dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO)
            execve(path, (char *const *)words, environ);
        _exit(1);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while (child > 0 && length < sizeof line - 1 &&
           ((got = read(ends[0], line + length, sizeof line - 1 - length)) > 0 ||
            (got < 0 && errno == EINTR)))
        length += got > 0 ? (size_t)got : 0;
    close(ends[0]);
    line[length] = '\0';
    return child > 0 && child_wait(child) == 0 && sscanf(line, "%*d %63s", outcome) == 1;
}

static bool is_gone(int process) {
    return faccessat(process, "stat", F_OK, 0) != 0;
}

bool inject_flag(int process, pid_t pid, const char *command, bool quiet) {
    char path[PATH_MAX], outcome[OUTCOME_BYTES] = "";
    if (!find_helper(path)) {
        if (!quiet)
            message("PID %d (%s) runs, but does not merge: %s is not there; install ksmrun again",
                    pid, command, path);
        return false;
    }
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    do {
        /* Not a process that has its number by now. */
        if (is_gone(process) || !run_helper(path, pid, outcome))
            break;
        bool may_come = strcmp(outcome, "no-instruction") == 0 ||
                        strcmp(outcome, "not-permitted") == 0 || strcmp(outcome, "no-stop") == 0;
        if (!may_come)
            break;
        nanosleep(&between_tries, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begun.tv_sec <= TRY_SECONDS);
    if (strcmp(outcome, "done") == 0)
        return true;
    if (!quiet && strcmp(outcome, "gone") != 0 && !is_gone(process))
        message("PID %d (%s) runs, but was not made to merge (%s); `ksmrun attach %d` tells why",
                pid, command, *outcome == '\0' ? "ksmrun-attach failed" : outcome, pid);
    return false;
}
