/* Ranges of a process to be marked, or unmarked. */
#ifndef KSMRUN_RANGES_H
#define KSMRUN_RANGES_H

#include "attach.h"
#include "process.h"

enum { RANGES_MAX = 1 << 16 };

/* Complete VMAs: marking a part would split one. went_on is called repeatedly. Returns their
 * number, or -errno if there is nothing to read. */
int ranges_read(const struct process *process, bool on, struct range ranges[RANGES_MAX],
                void (*went_on)(void));

#endif
