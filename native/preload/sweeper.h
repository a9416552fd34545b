/* The sweeping thread of this process: there, away, or for good gone. See sweeper.c. */
#ifndef KSMRUN_SWEEPER_H
#define KSMRUN_SWEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thread.h"

/* Starts the thread. Without memory, threads or /proc there is none, and nothing is swept. */
void sweeper_begin(const struct thread_options *options);

/* The program makes a call, which may map more: in a child that waits for growth, the time to look
 * for it. Safe in a signal handler, and one load where nothing waits. */
void sweeper_notice(size_t more_bytes);

/* Ends the thread of this process, if there is one, and returns when the kernel has forgotten it.
 * Returns whether one of the next two is to be called. */
bool sweeper_leave(void);
void sweeper_come_back(void);
/* Never: a new thread would not survive the filter that the program has put on itself, and nor
 * might the calls that ask for it. has_left: as sweeper_leave said. pid: this process, which may
 * not be asked for any more. */
void sweeper_stay_away(bool has_left, long pid);
/* Whether there is one to care for; not where the shim is there for seeds only. */
bool sweeper_is_used(void);

/* Until the program next calls mmap. */
void sweeper_leave_until_mapping(void);
void sweeper_come_back_if_away(void);

/* A thread of the program's ends by a plain exit(2): it may be the last one. */
void sweeper_look_soon(void);

/* What the program advises itself, before the kernel hears of it. */
void sweeper_note_advice(uintptr_t start, size_t length, int advice);

#endif
