/* Trials of programs that may turn out to be wrappers: these are followed for their first moments.
 *
 * A program that executes another in that time is a wrapper, and what its children execute counts
 * as the program that it was meant to start (an init does so; others run mkdir or id before). A
 * child is followed if none of those before it is left, and up to 16 of them are. The trial ends
 * when the program has grown, when it is idle after a second, or after ten seconds, for a machine
 * so busy that nothing has begun. */
#ifndef KSMRUN_TRIAL_H
#define KSMRUN_TRIAL_H

#include <stdbool.h>
#include <sys/types.h>

/* Begins one for this process, which has just executed a program. Returns false if too many are in
 * progress. */
bool trial_begin(pid_t pid);

/* Ends it, if there is one: the process has executed another program, or has ended. */
void trial_forget(pid_t pid);

/* Call this when a tracee has forked, or started a thread: a trial includes its children, one at a
 * time. Repeated calls for a child are harmless: its own first stop may be seen before its parent's
 * event. Returns false if too many are in progress, so that the child must be released. */
bool trial_has_forked(pid_t parent, pid_t child);

/* LAST_OVER: everything still traced is to be released. The end of this process does that, without
 * affecting system calls in progress. */
enum trials { TRIALS_NONE, TRIALS_UNDER_WAY, TRIALS_LAST_OVER };

/* Call this regularly while any is in progress. If not everything that is traced is over, the
 * threads of those that are get interrupted, which ends system calls that are never restarted
 * (signal(7)). */
enum trials trial_look(void);

/* Returns whether this tracee, stopped by an interrupt, belongs to a process whose trial is
 * over. */
bool trial_is_over(pid_t tracee);

#endif
