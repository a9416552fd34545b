/* Each process is read in a child of ours, which hands over a record of each page: whatever the
 * reading waits for, even in the kernel (a lock of that memory, a file system of that user's),
 * nobody else waits with it. */
#ifndef KSMRUN_READER_H
#define KSMRUN_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "records.h"
#include "walk.h"

struct reading {
    /* In the child. Returns 0 or -errno. */
    int (*read)(void *order, struct walked *walked);
    /* What it sends, in order. Returns false where there is no memory for it. */
    bool (*take)(void *order, const struct record *record);
    void *order;
    double seconds_max;
};

/* Returns what `read` returned; -ETIME where it gave no sign of life for a second and a half, or
 * took longer than it may; or another -errno. What has been taken by then is incomplete. */
int reader_run(const struct reading *reading, struct walked *walked);

/* For the child: there was progress. Without a parent to tell, nothing. */
void reader_tick(void);

/* Returns false where nobody takes it. */
bool reader_send(const struct record *record);

#endif
