#include "excluded.h"

#include <stddef.h>

static bool overlaps(const struct excluded_range *range, uintptr_t start, uintptr_t end) {
    uintptr_t range_end = atomic_load(&range->end);
    return range_end > start && atomic_load(&range->start) < end;
}

static bool is_within(const struct excluded_range *range, uintptr_t start, uintptr_t end) {
    uintptr_t range_end = atomic_load(&range->end);
    return range_end != 0 && range_end <= end && atomic_load(&range->start) >= start;
}

static bool is_known(const struct excluded *excluded, uintptr_t start, uintptr_t end) {
    for (int i = 0; i < atomic_load(&excluded->used); i++) {
        uintptr_t range_end = atomic_load(&excluded->ranges[i].end);
        uintptr_t range_start = atomic_load(&excluded->ranges[i].start);
        /* 0: another thread is about to fill it in. */
        if (range_end >= end && range_start <= start && range_start != 0)
            return true;
    }
    return false;
}

static void raise_used(_Atomic int *used, int count) {
    int seen = atomic_load(used);
    while (seen < count && !atomic_compare_exchange_weak(used, &seen, count))
        continue;
}

void excluded_add(struct excluded *excluded, uintptr_t start, uintptr_t end) {
    if (start >= end)
        return;
    atomic_fetch_add(&excluded->changes, 1);
    if (is_known(excluded, start, end))
        return;
    for (int i = 0; i < EXCLUDED_MAX; i++) {
        struct excluded_range *range = &excluded->ranges[i];
        uintptr_t free_end = 0;
        /* Counts as [0, end), which excludes too much for a moment, and never too little. */
        if (atomic_compare_exchange_strong(&range->end, &free_end, end)) {
            atomic_store(&range->start, start);
            raise_used(&excluded->used, i + 1);
            return;
        }
    }
    atomic_store(&excluded->is_full, true);
}

static void forget(struct excluded_range *range) {
    /* In this order, so that the next user finds a start of 0. */
    atomic_store(&range->start, 0);
    atomic_store(&range->end, 0);
}

void excluded_mend(struct excluded *excluded) {
    for (int i = 0; i < atomic_load(&excluded->used); i++)
        if (atomic_load(&excluded->ranges[i].start) == 0)
            atomic_store(&excluded->ranges[i].end, 0);
}

void excluded_remove(struct excluded *excluded, uintptr_t start, uintptr_t end) {
    for (int i = 0; i < atomic_load(&excluded->used); i++)
        if (is_within(&excluded->ranges[i], start, end))
            forget(&excluded->ranges[i]);
}

bool excluded_overlaps(const struct excluded *excluded, uintptr_t start, uintptr_t end,
                       bool is_seen[EXCLUDED_MAX]) {
    bool any = false;
    for (int i = 0; i < atomic_load(&excluded->used); i++) {
        if (!overlaps(&excluded->ranges[i], start, end))
            continue;
        any = true;
        if (is_seen != NULL)
            is_seen[i] = true;
    }
    return any;
}

void excluded_forget_unseen(struct excluded *excluded, const bool is_seen[EXCLUDED_MAX],
                            unsigned changes) {
    for (int i = 0; i < atomic_load(&excluded->used); i++) {
        struct excluded_range *range = &excluded->ranges[i];
        uintptr_t start = atomic_load(&range->start), end = atomic_load(&range->end);
        if (end == 0 || is_seen[i] || atomic_load(&excluded->changes) != changes)
            continue;
        forget(range);
        /* The program may have found it stored just before. */
        if (atomic_load(&excluded->changes) != changes)
            excluded_add(excluded, start, end);
    }
}
