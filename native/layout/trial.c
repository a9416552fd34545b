#include "trial.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "../common/clock.h"
#include "../common/procfile.h"
#include "tracees.h"

enum { TRIALS_MAX = 128, CHILDREN_MAX = 16, REST_MS = 1000, BUSY_MS = 10000 };
/* An interpreter has started by then (CPython: 8 MiB), and most servers have not. */
static const unsigned long grown_kib = 32 << 10;

/* pid 0: unused. */
static struct trial {
    pid_t pid;
    int64_t began_ms;
    pid_t last_child; /* 0: none yet */
    int children;
    bool is_over;
} trials[TRIALS_MAX];

static struct trial *find(pid_t pid) {
    for (size_t i = 0; i < TRIALS_MAX; i++)
        if (trials[i].pid == pid)
            return &trials[i];
    return NULL;
}

/* Process of a thread. */
static pid_t process_of(pid_t tracee) {
    char path[32], value[32];
    snprintf(path, sizeof path, "/proc/%d/status", tracee);
    return procfile_row(path, "Tgid", value, sizeof value) ? (pid_t)strtol(value, NULL, 10)
                                                           : tracee;
}

static bool is_any(void) {
    for (size_t i = 0; i < TRIALS_MAX; i++)
        if (trials[i].pid != 0)
            return true;
    return false;
}

static struct trial *trial_of(pid_t tracee) {
    return is_any() ? find(process_of(tracee)) : NULL;
}

bool trial_begin(pid_t pid) {
    struct trial *free_one = find(0);
    if (free_one == NULL)
        return false;
    *free_one = (struct trial){.pid = pid, .began_ms = clock_now_ms()};
    return true;
}

void trial_forget(pid_t pid) {
    struct trial *trial = pid == 0 ? NULL : find(pid);
    if (trial != NULL)
        *trial = (struct trial){0};
}

/* A child that has ended was a helper (mkdir, id), and the next may be the program. A server's
 * workers live side by side. */
static bool takes_child(const struct trial *trial) {
    return !trial->is_over && trial->children < CHILDREN_MAX &&
           (trial->last_child == 0 || !tracees_is_alive(trial->last_child));
}

/* A thread is no child. Children beyond the limit are released like those whose time is over. */
bool trial_has_forked(pid_t parent, pid_t child) {
    struct trial *trial = trial_of(parent), *its = find(0);
    if (trial == NULL || process_of(child) == trial->pid || find(child) != NULL ||
        child == trial->last_child)
        return true;
    if (its == NULL)
        return false;
    bool is_taken = takes_child(trial);
    *its = (struct trial){.pid = child, .began_ms = trial->began_ms, .is_over = !is_taken};
    if (is_taken) {
        trial->last_child = child;
        trial->children++;
    }
    return true;
}

static bool has_grown(pid_t pid) {
    char path[32], value[32];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    return procfile_row(path, "RssAnon", value, sizeof value) &&
           strtoul(value, NULL, 10) > grown_kib;
}

static bool is_at_end(const struct trial *trial) {
    int64_t passed_ms = clock_now_ms() - trial->began_ms;
    return trial->is_over || passed_ms >= BUSY_MS || has_grown(trial->pid) ||
           (passed_ms >= REST_MS && tracees_is_resting(trial->pid));
}

/* Returns whether any of its threads is still traced by this process. */
static bool interrupt_all(pid_t pid) {
    char path[32];
    bool is_traced = false;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (threads == NULL)
        return false;
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread > 0 && ptrace(PTRACE_INTERRUPT, thread, 0L, 0L) == 0)
            is_traced = true;
    }
    closedir(threads);
    return is_traced;
}

static bool is_not_over(pid_t pid) {
    const struct trial *trial = find(pid);
    return trial == NULL || !trial->is_over;
}

enum trials trial_look(void) {
    bool is_one_over = false;
    for (size_t i = 0; i < TRIALS_MAX; i++) {
        trials[i].is_over = trials[i].pid != 0 && is_at_end(&trials[i]);
        is_one_over |= trials[i].is_over;
    }
    if (is_one_over && !tracees_any(is_not_over))
        return TRIALS_LAST_OVER;
    for (size_t i = 0; i < TRIALS_MAX; i++)
        if (trials[i].is_over && !interrupt_all(trials[i].pid))
            trials[i] = (struct trial){0};
    return is_any() ? TRIALS_UNDER_WAY : TRIALS_NONE;
}

bool trial_is_over(pid_t tracee) {
    const struct trial *trial = trial_of(tracee);
    return trial != NULL && trial->is_over;
}
