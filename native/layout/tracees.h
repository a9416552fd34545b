/* Searches all processes that this one traces. */
#ifndef KSMRUN_TRACEES_H
#define KSMRUN_TRACEES_H

#include <stdbool.h>
#include <sys/types.h>

bool tracees_any(bool (*is_one)(pid_t pid));

/* Returns whether a tracee may execute a program: it has an event that its tracer has not
 * processed, or it was forked, has not executed anything yet, and is not idle. */
bool tracees_may_exec(pid_t pid);

/* Returns whether a process has not ended; one that its parent has not waited for has. */
bool tracees_is_alive(pid_t pid);

/* Returns whether a process was forked and has not executed anything yet. */
bool tracees_has_not_executed(pid_t pid);

/* Returns whether a process is idle: neither running nor in an uninterruptible wait. */
bool tracees_is_resting(pid_t pid);

pid_t tracees_parent_of(pid_t pid);

#endif
