/* LD_PRELOAD and KSMRUN_SHIM for the command; the rest of the environment stays as it is. */
#ifndef KSMRUN_ENVIRONMENT_H
#define KSMRUN_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/* Returns whether a word of LD_PRELOAD is a path of our shim. */
bool is_shim(const char *word, size_t length);

/* Returns a copy of envp with file last in LD_PRELOAD, so that other preloaded libraries come
 * before it and call it as they call libc, and with shim and seed in KSMRUN_SHIM, unless NULL.
 * Earlier entries of our shim are removed; if file is NULL, nothing else changes. The order and all
 * other entries stay. Returns NULL if out of memory. Never freed: exec takes it. */
char **environment_with_preload(char **envp, const char *file, const char *shim, const char *seed);

#endif
