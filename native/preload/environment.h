/* How the launcher tells the shim what to do: KSMRUN_SHIM=mark,join,min=BYTES,reserve=PERCENT,once,
 * keep,seed=HEX, each word at will, and without the variable only the flag is set. */
#ifndef KSMRUN_ENVIRONMENT_H
#define KSMRUN_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

enum { SEED_BYTES = 32 };

struct settings {
    bool mark;
    bool join;
    bool inherit;
    bool keep_flag; /* leave the merge flag as it is */
    bool has_seed;
    unsigned char seed[SEED_BYTES];
    size_t mark_min_bytes;
    unsigned map_reserve_percent;
};

struct settings environment_settings(char **environment);

/* Takes the shim out of the environment, in place, so that no child gets it. */
void environment_forget(char **environment);

#endif
