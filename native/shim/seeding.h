/* The group's one seed, for what runtimes draw from the time or from random bytes and that makes
 * the memory of copies differ, but through which no secret passes: each in a file of its own, which
 * says why. */
#ifndef KSMRUN_SEEDING_H
#define KSMRUN_SEEDING_H

#include "settings.h"

/* Before this call, and without a seed in the settings, every caller gets the real values. */
void seeding_begin(const struct settings *settings, char **environment);

#endif
