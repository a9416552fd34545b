/* Each process is read in a child of ours, which sends a record of each page: whatever the reading
 * waits for, even in the kernel (a lock of that memory, a file system of that user's), nobody else
 * waits with it. */
#ifndef KSMRUN_READER_H
#define KSMRUN_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "records.h"
#include "walk.h"

struct reading {
    /* Runs in the child. Returns 0 or -errno. */
    int (*read)(void *order, struct walked *walked);
    /* Receives what the child sends, in order. Returns false if out of memory. */
    bool (*take)(void *order, const struct record *record);
    void *order;
    double seconds_max;
};

/* Returns the result of `read`; -ETIME if it gave no sign of life for a second and a half, or took
 * too long; or another -errno. What was received by then is incomplete. */
int reader_run(const struct reading *reading, struct walked *walked);

/* For the child: reports progress. Does nothing without a parent. */
void reader_tick(void);

/* Returns false if nobody receives it. */
bool reader_send(const struct record *record);

#endif
