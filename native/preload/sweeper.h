/* The thread that sweeps. See sweeper.c. */
#ifndef KSMRUN_SWEEPER_H
#define KSMRUN_SWEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sweep.h"

struct sweeper_options {
    enum sweep_work work;
    size_t page_bytes;
    size_t mark_min_bytes;
    unsigned map_reserve_percent;
};

/* Starts the thread. Without memory, threads or /proc there is none, and nothing is marked. */
void sweeper_begin(const struct sweeper_options *options);

/* For a child that was just forked: the thread did not come along. */
void sweeper_begin_in_child(void);

/* Ends the thread of this process, if there is one, and returns when the kernel has forgotten it.
 * Returns whether one of the next two is to be called. */
bool sweeper_leave(void);
void sweeper_come_back(void);
/* When the program next calls mmap. */
void sweeper_come_back_later(void);
void sweeper_come_back_if_away(void);

/* A new thread would not survive the filter that the program has put on itself. */
void sweeper_stay_away(void);

/* What the program advises itself, before the kernel hears of it. */
void sweeper_note_advice(uintptr_t start, size_t length, int advice);

#endif
