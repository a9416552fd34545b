#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/procfile.h"

/* Returns 0 if there is no such process or thread. */
static uint64_t number_in(int folder, const char *name, enum pidstat_field field) {
    struct pidstat stat;
    return procfile_stat(folder, name, &stat) ? stat.fields[field] : 0;
}

bool process_open(struct process *process, pid_t pid, uint64_t start_ticks) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", pid);
    process->pid = pid;
    process->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process->folder < 0)
        return false;
    if (start_ticks == 0 || number_in(process->folder, "stat", PIDSTAT_START_TICKS) == start_ticks)
        return true;
    close(process->folder);
    return false;
}

static char state_in(int folder, const char *name) {
    struct pidstat stat;
    return procfile_stat(folder, name, &stat) ? stat.state : 0;
}

char process_state(const struct process *process) {
    return state_in(process->folder, "stat");
}

char thread_state(const struct process *process, pid_t tid) {
    char name[64];
    snprintf(name, sizeof name, "task/%d/stat", tid);
    return state_in(process->folder, name);
}

static bool is_end(char state) {
    return state == 0 || state == 'Z' || state == 'X';
}

bool process_has_ended(const struct process *process) {
    return is_end(process_state(process));
}

bool thread_has_ended(const struct process *process, pid_t tid) {
    return is_end(thread_state(process, tid));
}

bool process_has_memory(const struct process *process) {
    char line[128];
    return procfile_read_at(process->folder, "statm", line, sizeof line) > 0 &&
           strncmp(line, "0 ", 2) != 0;
}

/* kernel/signal.c: do_freezer_trap(), which compilers inline into its caller. Whatever else sleeps
 * there is stopped or traced. If wchan shows nothing, the call turns out not to begin. */
bool thread_is_frozen(const struct process *process, pid_t tid) {
    char name[64], text[64];
    snprintf(name, sizeof name, "task/%d/wchan", tid);
    return procfile_read_at(process->folder, name, text, sizeof text) > 0 &&
           (strcmp(text, "do_freezer_trap") == 0 || strcmp(text, "get_signal") == 0) &&
           thread_state(process, tid) == 'S';
}

pid_t process_thread(const struct process *process) {
    int folder = openat(process->folder, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = folder < 0 ? NULL : fdopendir(folder);
    if (tasks == NULL) {
        if (folder >= 0)
            close(folder);
        return 0;
    }
    pid_t found = 0;
    struct dirent *entry;
    while (found == 0 && (entry = readdir(tasks)) != NULL) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        char state = tid > 0 ? thread_state(process, tid) : 0;
        if (state == 'R' || state == 'S')
            found = tid;
    }
    closedir(tasks);
    return found;
}

bool thread_field(const struct process *process, pid_t tid, const char *name, char *value,
                  size_t size) {
    char path[64], line[256];
    bool is_start = true, is_found = false;
    snprintf(path, sizeof path, "task/%d/status", tid);
    int status = openat(process->folder, path, O_RDONLY | O_CLOEXEC);
    FILE *file = status < 0 ? NULL : fdopen(status, "r");
    if (file == NULL) {
        if (status >= 0)
            close(status);
        return false;
    }
    while (!is_found && fgets(line, sizeof line, file) != NULL) {
        if (is_start && strncmp(line, name, strlen(name)) == 0) {
            const char *start = line + strlen(name);
            snprintf(value, size, "%s", start + strspn(start, " \t"));
            is_found = true;
        }
        is_start = strchr(line, '\n') != NULL;
    }
    fclose(file);
    return is_found;
}

uint64_t thread_faults(const struct process *process, pid_t tid) {
    char name[64];
    snprintf(name, sizeof name, "task/%d/stat", tid);
    return number_in(process->folder, name, PIDSTAT_MINOR_FAULTS);
}

bool thread_lacks_cpu(const struct process *process, pid_t tid, uint64_t *ticks) {
    char name[64];
    struct pidstat stat;
    snprintf(name, sizeof name, "task/%d/stat", tid);
    if (!procfile_stat(process->folder, name, &stat))
        return false;
    /* One more, so that it is never 0. */
    uint64_t now = stat.fields[PIDSTAT_USER_TICKS] + stat.fields[PIDSTAT_SYSTEM_TICKS] + 1;
    bool has_run = *ticks != 0 && now != *ticks;
    *ticks = now;
    return stat.state == 'R' && !has_run;
}
