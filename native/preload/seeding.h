/* The one seed of a group for those functions of language runtimes that do nothing with the time or
 * with random bytes but seed hash tables. See seeding.c. */
#ifndef KSMRUN_SEEDING_H
#define KSMRUN_SEEDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "environment.h"

/* Before this, and without a seed in the settings, every caller gets the real ones. */
void seeding_begin(const struct settings *settings);

/* For getrandom(2), as called from that address: fills bytes from the seed where it is for one of
 * those functions, and returns whether it did. */
bool seeding_fill(uintptr_t caller, unsigned char *bytes, size_t count, unsigned flags);

#endif
