/* Each process is handled in a child of its own, under supervision: whatever that waits for, even
 * in the kernel, nobody else waits with it. */
#ifndef KSMRUN_WORKER_H
#define KSMRUN_WORKER_H

#include "attach.h"

/* Forks, and has the child do the work and fill in the report. If the child gives no sign of life
 * for a second, it is killed; or left alone, if the process that it works on is not in its normal
 * state just then. */
struct report worker_run(void (*work)(const void *order, struct report *report), const void *order);

/* The rest is for the child. */

/* There was progress. */
void worker_beat(void);

/* From worker_touch to worker_release the child must not be killed. Exits if it is too late. */
void worker_touch(void);
void worker_release(void);

/* Sends the report early, and lets the parent continue. */
void worker_report(const struct report *report);

#endif
