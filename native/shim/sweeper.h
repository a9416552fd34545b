/* The sweeping thread of this process: running, absent, or permanently gone. See sweeper.c. */
#ifndef KSMRUN_SWEEPER_H
#define KSMRUN_SWEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thread.h"

/* Starts the thread. Without memory, threads or /proc there is none, and nothing is swept. */
void sweeper_begin(const struct thread_options *options);

/* The program makes a call that may map more: a child that waits for growth checks for it. Safe in
 * a signal handler, and only one load if nothing waits. */
void sweeper_notice(size_t more_bytes);

/* Ends the thread of this process, if there is one, and returns when the kernel has released it.
 * Returns whether one of the next two must be called. */
bool sweeper_leave(void);
void sweeper_come_back(void);
/* Never start one again: a new thread would not survive the filter that the program has installed,
 * and the calls that start one might not either. has_left: result of sweeper_leave. pid: this
 * process, which may not be queried any more. */
void sweeper_stay_away(bool has_left, long pid);
/* Returns whether there is a sweeper to care for; not if the shim is only there for seeds. */
bool sweeper_is_used(void);

/* Until the program next calls mmap. */
void sweeper_leave_until_mapping(void);
void sweeper_come_back_if_away(void);

/* A thread of the program's ends by a plain exit(2): it may be the last one. */
void sweeper_look_soon(void);

/* Records the program's own madvise before the kernel sees it. */
void sweeper_note_advice(uintptr_t start, size_t length, int advice);

/* Marks nothing of these addresses from now on, also if it starts later. When it returns, no walk
 * is left that does not know that. */
void sweeper_exclude(uintptr_t start, uintptr_t end);

#endif
