/* Waits for a tracee, with a time limit. */
#ifndef KSMRUN_WAIT_H
#define KSMRUN_WAIT_H

#include <stdint.h>
#include <sys/types.h>

enum { WAIT_GONE = 0, WAIT_LATE = -1 };

/* Waits until then (clock.h) for the tracee's next stop; INT64_MAX: without limit. With a limit,
 * SIGCHLD must be blocked, and not ignored. Returns the status of waitpid(2), WAIT_GONE or
 * WAIT_LATE. */
int wait_for_stop(pid_t tid, int64_t until_ns);

#endif
