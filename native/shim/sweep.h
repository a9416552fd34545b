/* One walk over the VMAs of this process, to mark its memory MADV_MERGEABLE or to join what the
 * merge flag keeps apart.
 *
 * Marking what a program allocates piece by piece would split VMAs until vm.max_map_count is
 * reached. So adjacent ones are marked together, whatever their protection, as the merge flag
 * would. */
#ifndef KSMRUN_SWEEP_H
#define KSMRUN_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "excluded.h"

enum sweep_work { SWEEP_MARK, SWEEP_JOIN };

enum sweep_state {
    SWEEP_AT_WORK,
    SWEEP_STOPPED_AT_MAP_LIMIT, /* too many VMAs, or EAGAIN from madvise */
    SWEEP_STOPPED_EXCLUDED,     /* the program excluded more ranges than can be stored */
    SWEEP_NO_KSM,               /* a kernel without CONFIG_KSM, or a filter that denies madvise */
};

/* If more areas could grow down, all are marked at once. */
enum { SWEEP_GROWING_MAX = 16 };

struct sweep {
    /* Input. */
    enum sweep_work work;
    int maps; /* descriptor of /proc/PID/maps */
    size_t page_bytes;
    size_t mark_min_bytes; /* writable, adjacent ones together */
    size_t vmas_max;       /* with more VMAs nothing is marked */
    size_t resident_bytes; /* of the process, to recognise sparse VMAs */
    struct excluded *excluded;
    char *buffer;
    size_t buffer_bytes;
    const _Atomic int *is_told_to_leave;
    /* Output. vmas is also input: the count of the previous walk. */
    enum sweep_state state;
    size_t sweeps;
    size_t vmas;
    size_t marked_bytes; /* writable ones */
    bool has_sparse;
    /* Starts of mappings with much free space below, where new ones go; and whether one of them is
     * not marked until it has stopped growing. */
    uintptr_t growing[SWEEP_GROWING_MAX];
    size_t growing_count;
    bool has_postponed;
};

/* Returns false if maps cannot be read. Stops early when told to leave. */
bool sweep_once(struct sweep *sweep);

#endif
