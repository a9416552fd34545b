/* Tells profilers where a moved program's code is now. */
#ifndef KSMRUN_PROFILER_EVENTS_H
#define KSMRUN_PROFILER_EVENTS_H

#include <stdbool.h>

#include "image.h"

/* For the program described by image, moved by delta. Uses a few bytes of its stack at scratch, and
 * zeroes them again. If a security policy refuses, nothing changes and profilers are not told.
 * Returns whether the program's code is still intact. */
bool profiler_events_cause(struct injection *injection, const struct image *image, uint64_t delta,
                           uint64_t scratch);

#endif
