/* Stopping a thread that runs, and letting it go as if it had never been stopped. */
#ifndef KSMRUN_STOP_H
#define KSMRUN_STOP_H

#include "../inject/inject.h"
#include "attach.h"

/* Stops a thread of this process between two instructions of its own, or in a system call that its
 * signals interrupt. ATTACH_DONE, or why not: it runs on then. */
enum outcome stop_thread(const struct process *process, pid_t tid);

/* Undoes stop_thread. restored: what the injection took; NULL where nothing was touched.
 * ATTACH_GONE: so is the thread; ATTACH_NO_STOP: it is as it was, and the end of this process lets
 * it go. */
enum outcome let_go(pid_t tid, struct injection *restored);

/* Whether the stopped thread is in a restartable sequence (rseq(2)): moved elsewhere, it would not
 * be restarted as the kernel does after each stop. Then its program counter is set to where the
 * kernel would have set it. */
void leave_restartable_sequence(struct injection *injection);

/* Where the stop made a call fail that the kernel does not make again by itself (signal(7):
 * "Interruption of system calls and library functions by stop signals"), it is made again. */
void keep_waiting(struct injection *injection);

#endif
