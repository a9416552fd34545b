/* What of a process is to be marked, or marked no longer. */
#ifndef KSMRUN_RANGES_H
#define KSMRUN_RANGES_H

#include "attach.h"
#include "process.h"

enum { RANGES_MAX = 1 << 16 };

/* Whole VMAs: marking a part would split one. went_on is called on the way. Returns how many, or
 * -errno where there is nothing to read. */
int ranges_read(const struct process *process, bool on, struct range ranges[RANGES_MAX],
                void (*went_on)(void));

#endif
