#include "tracees.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../common/procfile.h"

/* include/linux/sched.h: PF_FORKNOEXEC. */
enum { FORKED_NO_EXEC = 0x40 };

static pid_t number_in(pid_t pid, const char *row) {
    char path[32], value[32];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    return procfile_row(path, row, value, sizeof value) ? (pid_t)strtol(value, NULL, 10) : 0;
}

bool tracees_any(bool (*is_one)(pid_t pid)) {
    bool is_found = false;
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        return false;
    for (struct dirent *entry; !is_found && (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        is_found = pid > 0 && number_in(pid, "TracerPid") == getpid() && is_one(pid);
    }
    closedir(processes);
    return is_found;
}

static bool read_stat(pid_t pid, struct pidstat *stat) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    return procfile_stat(AT_FDCWD, path, stat);
}

static bool is_forked_only(const struct pidstat *stat) {
    return (stat->fields[PIDSTAT_FLAGS] & FORKED_NO_EXEC) != 0;
}

bool tracees_is_resting(pid_t pid) {
    struct pidstat stat;
    return !read_stat(pid, &stat) || (stat.state != 'R' && stat.state != 'D');
}

bool tracees_is_alive(pid_t pid) {
    struct pidstat stat;
    return read_stat(pid, &stat) && stat.state != 'Z' && stat.state != 'X';
}

bool tracees_has_not_executed(pid_t pid) {
    struct pidstat stat;
    return read_stat(pid, &stat) && is_forked_only(&stat);
}

bool tracees_may_exec(pid_t pid) {
    struct pidstat stat;
    return read_stat(pid, &stat) &&
           (stat.state == 't' ||
            (is_forked_only(&stat) && (stat.state == 'R' || stat.state == 'D')));
}

pid_t tracees_parent_of(pid_t pid) {
    return number_in(pid, "PPid");
}
