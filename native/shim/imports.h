/* Functions that programs and libraries take from others, and their replacement in those alone that
 * are meant: what the shim exports, all call. */
#ifndef KSMRUN_IMPORTS_H
#define KSMRUN_IMPORTS_H

#include <stdbool.h>

#include "loaded.h"

/* The function of that name in the first library that has it, if that is not the shim's own; else
 * NULL, and then dlerror(3) has something to say. */
void *imports_function(const char *name);

/* Returns whether a program or library that is loaded has it. */
bool imports_have(const char *name);

/* Points one object's calls of that name to the replacement. Returns false where its table cannot
 * be changed. */
bool imports_replace_in(const struct loaded_object *loaded, const char *name, void *replacement);

/* The same in all that have a function of one of the holders' names (NULL-terminated). */
bool imports_replace(const char *const *holders, const char *name, void *replacement);

#endif
