/* What can be learnt of a stopped tracee. */
#ifndef KSMRUN_TRACEE_H
#define KSMRUN_TRACEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tracee_call {
    bool is_native; /* by this architecture's own numbers, not i386's or x32's */
    uint64_t number;
    uint64_t arguments[6];
};

/* The system call at whose entry the tracee stands. Returns false at any other stop. */
bool tracee_call(pid_t pid, struct tracee_call *call);

/* The file of a call of execve or execveat, as this process would name it. Returns false where it
 * cannot be told, as the tracee has another root or other mounts. */
bool tracee_exec_path(pid_t pid, const struct tracee_call *call, char *path, size_t path_bytes);

/* How many seccomp filters are in force for a process; before 5.9, whether any is. */
unsigned long tracee_filters(pid_t pid);

/* A soft limit by its name in /proc/PID/limits; RLIM_INFINITY where there is none. Of processes of
 * other users too, whose limits prlimit(2) wants CAP_SYS_RESOURCE for. Returns false where it
 * cannot be read. */
bool tracee_limit(pid_t pid, const char *name, uint64_t *soft_bytes);

/* A link in /proc/PID. */
bool tracee_link(pid_t pid, const char *name, char *text, size_t text_bytes);

enum { TRACEE_APPLET_BYTES = 32 };

/* Which of its programs a busybox is: the name it was called by, or its first argument. */
bool tracee_applet(pid_t pid, char name[TRACEE_APPLET_BYTES]);

/* Makes the tracee's stderr this process's, for a line; and nothing again. */
void tracee_borrow_stderr(pid_t pid);
void tracee_return_stderr(void);

#endif
