/* Child processes of a process that is about to become the user's program: they leave no trace in
 * it. */
#ifndef KSMRUN_CHILD_H
#define KSMRUN_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Like fork(2), but the child's end sends no SIGCHLD: the program must not find one pending. */
pid_t child_fork(void);

/* Waits for a child of child_fork. Returns its exit code, -1 if it was killed or lost. */
int child_wait(pid_t child);

/* Returns whether the next child would be PID 1 of a new PID namespace (`unshare --pid` without
 * --fork): its end would leave the program unable to fork (pid_namespaces(7)). */
bool child_would_be_init(void);

/* Returns whether this process, as PID 1 or a subreaper, becomes the parent of its descendants that
 * lose theirs; the program would find a child that it never started. */
bool child_adopts_orphans(void);

#endif
