/* Settings from the launcher: KSMRUN_SHIM=mark,join,min=BYTES,reserve=PERCENT,once,keep,secrets,
 * seed=HEX, each word optional; without the variable the shim only sets the flag. */
#ifndef KSMRUN_SETTINGS_H
#define KSMRUN_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

enum { SEED_BYTES = 32 };

struct settings {
    bool mark;
    bool join;
    bool inherit;
    bool keep_flag; /* leave the merge flag as it is */
    bool exclude_secrets;
    bool is_under_valgrind;
    bool has_seed;
    unsigned char seed[SEED_BYTES];
    size_t mark_min_bytes;
    unsigned map_reserve_percent;
};

struct settings settings_read(char **environment);

/* Returns whether this entry of an environment is LD_PRELOAD. */
bool settings_is_preload(const char *entry);

/* Removes the shim from the environment, in place, so that no child gets it. */
void settings_forget_shim(char **environment);

#endif
