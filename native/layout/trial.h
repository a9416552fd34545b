/* Programs that may turn out to be wrappers: followed for their first moments.
 *
 * What execs another program in that time was one, and what its children exec, one after the other,
 * is taken for what it was to start (an init does so, and others run mkdir or id before): a child
 * is followed where none that was followed before it is left, up to 16 of them. It ends when the
 * program has grown, when it rests after a second, or after ten, for a machine that is so busy that
 * nothing has begun. */
#ifndef KSMRUN_TRIAL_H
#define KSMRUN_TRIAL_H

#include <stdbool.h>
#include <sys/types.h>

/* Begins one for this process, which has just executed a program. Returns false where too many are
 * under way. */
bool trial_begin(pid_t pid);

/* Ends it, if there is one: the process has executed another program, or ended. */
void trial_forget(pid_t pid);

/* To be called where a tracee has forked, or started a thread: a trial reaches its children, one at
 * a time. Once for a child or again: its own first stop may be seen before its parent's event. */
void trial_has_forked(pid_t parent, pid_t child);

/* LAST_OVER: nothing is traced any more but what is to be let go. The end of this process does
 * that, and no call of theirs notices. */
enum trials { TRIALS_NONE, TRIALS_UNDER_WAY, TRIALS_LAST_OVER };

/* To be called now and then while any is under way. Where more is traced than those that are over,
 * all their threads are interrupted, which ends calls that are never restarted (signal(7)). */
enum trials trial_look(void);

/* Whether this tracee, stopped by an interrupt, belongs to a process whose trial is over. */
bool trial_is_over(pid_t tracee);

#endif
