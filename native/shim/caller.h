/* Identifies a caller: whether a return address is in a named function of its object. */
#ifndef KSMRUN_CALLER_H
#define KSMRUN_CALLER_H

#include <stdbool.h>
#include <stdint.h>

/* Call this at the start, while nothing holds ld.so's lock: without _dl_find_object (musl,
 * glibc before 2.35), only functions that exist now are known later. names: NULL-terminated,
 * must stay. */
void caller_begin(const char *const *names);

/* Returns whether the address, from __builtin_return_address, is in a function of one of the names.
 * Takes no lock and no memory. */
bool caller_is_named(uintptr_t address);

/* Returns whether it is in an unnamed function that one of those, in the same object, has called
 * directly and not through a pointer. Needs libgcc's unwinder; without it, no. */
bool caller_is_called_by_named(uintptr_t address);

/* Returns whether the address is in an object, and not in code that was generated. Without
 * _dl_find_object it waits for ld.so's lock. */
bool caller_is_in_object(uintptr_t address);

#endif
