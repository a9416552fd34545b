/* Information about a stopped tracee. */
#ifndef KSMRUN_TRACEE_H
#define KSMRUN_TRACEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tracee_call {
    bool is_known;   /* has this architecture's numbers or i386's, not x32's */
    uint64_t number; /* this architecture's; UINT64_MAX: i386's for anything but an exec */
    uint64_t arguments[6];
};

/* System call at whose entry the tracee is stopped. Returns false at any other stop. */
bool tracee_call(pid_t pid, struct tracee_call *call);

/* File of an execve or execveat call, as a path of this process. Returns false if it cannot be
 * determined, because the tracee has another root or other mounts. */
bool tracee_exec_path(pid_t pid, const struct tracee_call *call, char *path, size_t path_bytes);

/* Number of seccomp filters of a process; before 5.9, whether there is any. */
unsigned long tracee_filters(pid_t pid);

/* Soft limit by its name in /proc/PID/limits; RLIM_INFINITY if there is none. Also for
 * processes of other users, for which prlimit(2) requires CAP_SYS_RESOURCE. Returns false if it
 * cannot be read. */
bool tracee_limit(pid_t pid, const char *name, uint64_t *soft_bytes);

/* Reads its personality(2). Returns false if it cannot be read. */
bool tracee_personality(pid_t pid, unsigned long *personality);

/* Reads a link in /proc/PID. */
bool tracee_link(pid_t pid, const char *name, char *text, size_t text_bytes);

enum { TRACEE_APPLET_BYTES = 32 };

/* Program that a busybox is running as: the name it was called by, or its first argument. */
bool tracee_applet(pid_t pid, char name[TRACEE_APPLET_BYTES]);

/* Makes the tracee's stderr this process's, for one line; and then closes it again. */
void tracee_borrow_stderr(pid_t pid);
void tracee_return_stderr(void);

#endif
