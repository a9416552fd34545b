/* Moves a program that has not run an instruction yet to the group's bases. */
#ifndef KSMRUN_RELOCATE_H
#define KSMRUN_RELOCATE_H

#include <stdbool.h>

#include "bases.h"
#include "image.h"
#include "low.h"

/* What was done to the process before its exec, and is to be undone after it. */
struct arranged {
    unsigned long personality;
    uint64_t stack_soft_bytes, stack_hard_bytes;
};

/* How far the loader and the like may lie below the top of the mmap area; and how far what older
 * kernels had above the stack is above it at most. */
static const uint64_t RELOCATE_LOADER_BYTES = (uint64_t)4 << 30, RELOCATE_ABOVE = 4 << 20;

/* Where a program is to lie. */
struct destination {
    uint64_t program, brk;
    struct low low;
};

struct destination destination_of(const struct image *image, const struct machine *machine,
                                  const struct bases *bases);

/* arranged is NULL where nothing was. Returns NULL, or what failed: the program must be killed
 * then, as it is half moved. */
const char *relocate(struct injection *injection, const struct machine *machine,
                     const struct image *image, const struct destination *destination,
                     const struct bases *bases, const struct arranged *arranged);

#endif
