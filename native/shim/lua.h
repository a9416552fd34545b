/* See lua.c. */
#ifndef KSMRUN_LUA_H
#define KSMRUN_LUA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"

/* seed: NULL for none. */
void lua_begin(const unsigned char *seed);

/* For getrandom(2), called from this address: fills bytes from the seed if the caller is one of
 * those functions, and returns whether it did. */
bool lua_fill(uintptr_t caller, unsigned char *bytes, size_t count, unsigned flags);

#endif
