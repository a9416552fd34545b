/* Ranges that the program itself made MADV_UNMERGEABLE. The program's threads and signal handlers
 * add to them while the sweeper reads, so there is no lock. */
#ifndef KSMRUN_EXCLUDED_H
#define KSMRUN_EXCLUDED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* With the shim's other data in one page (sweeper.c). */
enum { EXCLUDED_MAX = 128 };

struct excluded {
    /* In an unused one end is 0. */
    struct excluded_range {
        _Atomic uintptr_t start, end;
    } ranges[EXCLUDED_MAX];
    /* no range in use has a higher index */
    _Atomic int used;
    /* Number of additions: equal values mean that nothing was added in between. */
    _Atomic unsigned changes;
    /* More ranges than can be stored: nothing may be marked any more. */
    _Atomic bool is_full;
};

void excluded_add(struct excluded *excluded, uintptr_t start, uintptr_t end);

/* In a child that was forked while another thread was adding one: that thread does not exist
 * here. */
void excluded_mend(struct excluded *excluded);

/* The program wants these bytes merged again. */
void excluded_remove(struct excluded *excluded, uintptr_t start, uintptr_t end);

/* Returns whether any range overlaps. If given, is_seen is set for each that does. */
bool excluded_overlaps(const struct excluded *excluded, uintptr_t start, uintptr_t end,
                       bool is_seen[EXCLUDED_MAX]);

/* Forgets ranges where nothing is mapped any more: those not seen in a walk over all VMAs that
 * began when changes had this value. */
void excluded_forget_unseen(struct excluded *excluded, const bool is_seen[EXCLUDED_MAX],
                            unsigned changes);

#endif
