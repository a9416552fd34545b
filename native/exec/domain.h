/* Trust domains: while one may merge on this host, the others may not (`ksmrun help trust`).
 *
 * Root writes which one that is (`ksmrun trust claim`), below a lock. A launch holds the lock,
 * shared, from before it reads that until its exec, when its flag has been set and the process is
 * the program. Whoever wants the host for another domain holds it alone while it looks for merging
 * processes: so it sees each launch either as the program that it is, or not at all. */
#ifndef KSMRUN_DOMAIN_H
#define KSMRUN_DOMAIN_H

#include "../layout/reason.h"

/* Waits up to two seconds for the lock in the folder, and reads whether the domain may merge.
 * Returns 0 with the lock held by a descriptor that the exec closes, after it has put the new
 * memory in place (fs/exec.c: exec_mmap comes before do_close_on_exec); children must close theirs.
 * Returns -1 with the reason, and holds nothing. */
int domain_enter(const char *folder, const char *name, char reason[REASON_BYTES]);

/* Holds the lock until this process ends, if there is one: what it tries out is then not taken for
 * a program that merges. */
void domain_hold(const char *folder);

#endif
