/* A library that stands before the shim in LD_PRELOAD (libfaketime) is asked in the shim's place.
 */
#ifndef KSMRUN_FRONT_H
#define KSMRUN_FRONT_H

#include <stdbool.h>

/* Points the calls of that name to the replacement, in the programs and libraries alone that have
 * a function of one of the holders' names. Returns false where one of their tables cannot be
 * changed. */
bool front_replace(const char *const *holders, const char *name, void *replacement);

/* The function of that name in the first library that has it, if that is not the shim's own; else
 * NULL. */
void *front_function(const char *name);

#endif
