#include "tracees.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/procfile.h"
#include "../common/procstat.h"

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

static bool read_state(pid_t pid, char *state, uint64_t *flags) {
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (procfile_read(path, text, sizeof text) <= 0)
        return false;
    *state = procstat_state(text);
    *flags = procstat_number(text, STAT_FLAGS);
    return *state != '\0';
}

bool tracees_is_resting(pid_t pid) {
    char state;
    uint64_t flags;
    return !read_state(pid, &state, &flags) || (state != 'R' && state != 'D');
}

bool tracees_is_alive(pid_t pid) {
    char state;
    uint64_t flags;
    return read_state(pid, &state, &flags) && state != 'Z' && state != 'X';
}

bool tracees_has_not_executed(pid_t pid) {
    char state;
    uint64_t flags;
    return read_state(pid, &state, &flags) && (flags & FORKED_NO_EXEC) != 0;
}

bool tracees_may_exec(pid_t pid) {
    char state;
    uint64_t flags;
    if (!read_state(pid, &state, &flags))
        return false;
    return state == 't' || ((flags & FORKED_NO_EXEC) != 0 && (state == 'R' || state == 'D'));
}

pid_t tracees_parent_of(pid_t pid) {
    return number_in(pid, "PPid");
}
