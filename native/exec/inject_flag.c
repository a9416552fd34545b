#include "inject_flag.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/child.h"
#include "../common/message.h"
#include "../common/procfile.h"

extern char **environ;

static bool find_helper(char path[PATH_MAX]) {
    static const char name[] = "ksmrun-attach";
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof name);
    path[length < 0 ? 0 : length] = '\0';
    char *slash = strrchr(path, '/');
    memcpy(slash == NULL ? path : slash + 1, name, sizeof name);
    return access(path, X_OK) == 0;
}

bool inject_flag(int folder, pid_t pid, const char *command, bool quiet) {
    char path[PATH_MAX], who[48];
    struct pidstat stat;
    if (!procfile_stat(folder, "stat", &stat))
        return false;
    snprintf(who, sizeof who, "%d:%llu", pid, stat.fields[PIDSTAT_START_TICKS]);
    const char *const words[] = {path, "launched", who, command, quiet ? "quiet" : NULL, NULL};
    if (find_helper(path)) {
        pid_t child = child_fork();
        if (child == 0) {
            execve(path, (char *const *)words, environ);
            _exit(1);
        }
        return child > 0 && child_wait(child) == 0;
    }
    if (!quiet)
        message("PID %d (%s) runs, but does not merge: %s does not exist; install ksmrun again",
                pid, command, path);
    return false;
}
