/* Stops a running thread, and releases it as if it had never been stopped. */
#ifndef KSMRUN_STOP_H
#define KSMRUN_STOP_H

#include "../inject/inject.h"
#include "attach.h"

/* Stops a thread of this process between two instructions of its own, or in an interruptible system
 * call. Returns ATTACH_DONE, or why not: it keeps running then. */
enum outcome stop_thread(const struct process *process, pid_t tid);

/* Undoes stop_thread. restored: what the injection saved; NULL if nothing was changed. ATTACH_GONE:
 * the thread is gone; ATTACH_NO_STOP or ATTACH_LATE: it is as it was, and the end of this process
 * releases it. */
enum outcome let_go(const struct process *process, pid_t tid, struct injection *restored);

/* If the stopped thread is in a restartable sequence (rseq(2)), sets its program counter to where
 * the kernel would have set it: moved elsewhere, it would not be restarted, as the kernel does
 * after each stop. */
void leave_restartable_sequence(struct injection *injection);

/* If the stop made a call fail that the kernel does not restart by itself (signal(7): "Interruption
 * of system calls and library functions by stop signals"), makes it start again. */
void keep_waiting(struct injection *injection);

#endif
