/* Whether the file of --preload and the shim's words can be used in this launch. */
#ifndef KSMRUN_PRELOAD_H
#define KSMRUN_PRELOAD_H

#include <stdbool.h>

#include "options.h"

/* What the environment gets. */
struct preload {
    const char *file; /* NULL: none */
    const char *shim; /* NULL: no words for it */
};

/* Returns whether to start the program. preload: as it was initialised, where nothing is used. */
bool preload_choose(const struct options *options, struct preload *preload);

/* Whether the shim marks memory. */
bool preload_marks(const struct options *options);

/* Whether the shim leaves the flag as the launcher has set it. */
bool preload_keeps_flag(const struct options *options);

/* Whether the shim is useless without a shared layout. */
bool preload_is_for_seeds_only(const struct options *options);

#endif
