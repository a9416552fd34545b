/* Named functions of a loaded ELF object. Pure: only reads that object's memory. */
#ifndef KSMRUN_OBJECT_H
#define KSMRUN_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

struct object {
    uintptr_t base;      /* added to the addresses in its file */
    const void *dynamic; /* its dynamic section; NULL: none */
};

/* Addresses from start up to, but not including, end. */
struct range {
    uintptr_t start, end;
};

static inline bool range_contains(const struct range *range, uintptr_t address) {
    return address >= range->start && address < range->end;
}

/* Finds the function that the object exports by that name. Returns false if there is none. */
bool object_function(const struct object *object, const char *name, struct range *range);

/* Visits each place that holds the address of what the object takes from others by that name. */
void object_each_import(const struct object *object, const char *name,
                        void (*visit)(void **place, void *argument), void *argument);

#endif
