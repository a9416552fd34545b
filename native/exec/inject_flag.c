#include "inject_flag.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
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

/* proc_pid_stat(5): starttime, the 20th field after the name, which may contain anything; 0 if the
 * process has ended. */
static unsigned long long start_ticks(int folder) {
    enum { FIELDS_BEFORE = 19 };
    char text[1024];
    if (procfile_read_at(folder, "stat", text, sizeof text) <= 0)
        return 0;
    const char *at = strrchr(text, ')');
    if (at == NULL || *++at == '\0')
        return 0;
    for (int fields = 0; fields < FIELDS_BEFORE && at != NULL; fields++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}

bool inject_flag(int folder, pid_t pid, const char *command, bool quiet) {
    char path[PATH_MAX], who[48];
    unsigned long long start = start_ticks(folder);
    if (start == 0)
        return false;
    snprintf(who, sizeof who, "%d:%llu", pid, start);
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
