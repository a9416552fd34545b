/* The named functions of a loaded ELF object. Pure: it only reads that object's memory. 64-bit. */
#ifndef KSMRUN_OBJECT_H
#define KSMRUN_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

struct object {
    uintptr_t base;      /* what is added to the addresses in its file */
    const void *dynamic; /* its dynamic section; NULL: none */
};

/* Addresses from start up to end. */
struct range {
    uintptr_t start, end;
};

/* Where the object has the function that it gives others by that name. Returns false where it has
 * none. */
bool object_function(const struct object *object, const char *name, struct range *range);

/* Visits each place that holds the address of what the object takes from others by that name. */
void object_each_import(const struct object *object, const char *name,
                        void (*visit)(void **place, void *argument), void *argument);

#endif
