/* The group's one seed, for those functions of language runtimes that use the time or random bytes
 * only to seed hash tables. See seeding.c. */
#ifndef KSMRUN_SEEDING_H
#define KSMRUN_SEEDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"

/* Before this call, and without a seed in the settings, every caller gets the real values. */
void seeding_begin(const struct settings *settings);

/* For getrandom(2), called from this address: fills bytes from the seed if the caller is one of
 * those functions, and returns whether it did. */
bool seeding_fill(uintptr_t caller, unsigned char *bytes, size_t count, unsigned flags);

#endif
