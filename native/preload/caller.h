/* Who called: whether a return address lies in a named function of the object that holds it.
 * 64-bit.
 */
#ifndef KSMRUN_CALLER_H
#define KSMRUN_CALLER_H

#include <stdbool.h>
#include <stdint.h>

/* To be called at the start, when nothing holds the lock of ld.so: where it has no _dl_find_object
 * (musl, glibc before 2.35), only functions that are there now are known later. names: ends with
 * NULL, and stays. */
void caller_begin(const char *const *names);

/* Whether the address, as __builtin_return_address gives it, is in a function of one of the names.
 * Takes no lock and no memory. */
bool caller_is_named(uintptr_t address);

/* Whether it is in a function without a name that one of those, in the same object, has called by
 * its address and not through a pointer. Unwinds with libgcc's help; without it, no. */
bool caller_is_called_by_named(uintptr_t address);

#endif
