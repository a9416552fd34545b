/* The sweeping thread, from its first instruction on. */
#ifndef KSMRUN_THREAD_H
#define KSMRUN_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "excluded.h"
#include "sweep.h"

struct thread_options {
    enum sweep_work work;
    size_t page_bytes;
    size_t mark_min_bytes;
    unsigned map_reserve_percent;
};

enum { THREAD_STACK_BYTES = 16 * 1024, THREAD_BUFFER_BYTES = 4096 };

/* State of one process: a forked child finds zeros (madvise(2): MADV_WIPEONFORK), and so recognises
 * itself as a child. */
struct thread {
    _Alignas(16) char stack[THREAD_STACK_BYTES];
    char buffer[THREAD_BUFFER_BYTES];
    struct thread_options options;
    struct excluded *excluded;
    /* Resident and anonymous at the last sweep: what a child has beyond that no sweep has seen. */
    _Atomic size_t *swept_bytes;
    /* Set by the kernel when the thread starts; cleared, with a futex wake, when it ends. */
    _Atomic int tid;
    _Atomic int is_confined;
    _Atomic int is_told_to_leave;
    _Atomic bool is_to_look_soon;
    /* Number of walks that began and that ended: odd during one. */
    _Atomic unsigned walks;
    /* The rest is for the code that starts and ends it (sweeper.c). Process to which it belongs. */
    _Atomic long pid;
    _Atomic bool has_to_come_back;
    /* While this is false there is none until memory has grown. */
    _Atomic bool is_wanted;
    /* Number of calls that the program has made meanwhile. */
    _Atomic unsigned notices;
    /* Held while one of the program's threads changes the rest. */
    _Atomic int lock;
    int away_count;
};

struct timespec {
    long seconds, nanoseconds;
};

_Noreturn void thread_run(struct thread *own);

#endif
