/* Each process is worked on in a child of its own, which is watched: whatever it waits for, even in
 * the kernel, nobody else waits with it. */
#ifndef KSMRUN_WORKER_H
#define KSMRUN_WORKER_H

#include "attach.h"

/* Forks, and has the child do the work and fill in the report. Where it gives no sign of life for a
 * second it is ended; or left alone, where the process at hand is not itself just then. */
struct report worker_run(void (*work)(const void *order, struct report *report), const void *order);

/* The rest is for the child. */

/* There was progress. */
void worker_beat(void);

/* From worker_touch to worker_release the child is not to be killed. Ends where it is too late. */
void worker_touch(void);
void worker_release(void);

/* Gives the report already, and lets the parent go on. */
void worker_report(const struct report *report);

#endif
