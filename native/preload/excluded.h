/* What the program itself made MADV_UNMERGEABLE. The program's threads and signal handlers add to
 * it while the sweeper reads it, so it takes no lock. */
#ifndef KSMRUN_EXCLUDED_H
#define KSMRUN_EXCLUDED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* With the shim's other data in one page (sweeper.c). */
enum { EXCLUDED_MAX = 128 };

struct excluded {
    /* A free one has no end. */
    struct excluded_range {
        _Atomic uintptr_t start, end;
    } ranges[EXCLUDED_MAX];
    /* No range in use has a higher index. */
    _Atomic int used;
    /* How often something was added: who compares two values knows that nothing came between. */
    _Atomic unsigned changes;
    /* More than can be remembered: nothing may be marked any more. */
    _Atomic bool is_full;
};

void excluded_add(struct excluded *excluded, uintptr_t start, uintptr_t end);

/* In a child that was forked while another thread filled one in: that thread is not here. */
void excluded_mend(struct excluded *excluded);

/* The program wants these bytes merged after all. */
void excluded_remove(struct excluded *excluded, uintptr_t start, uintptr_t end);

/* Whether any does. is_seen, where given, gets true for each range that does. */
bool excluded_overlaps(const struct excluded *excluded, uintptr_t start, uintptr_t end,
                       bool is_seen[EXCLUDED_MAX]);

/* Forgets ranges where nothing is mapped any more: those not seen in a walk over all VMAs that
 * began when changes was as given. */
void excluded_forget_unseen(struct excluded *excluded, const bool is_seen[EXCLUDED_MAX],
                            unsigned changes);

#endif
