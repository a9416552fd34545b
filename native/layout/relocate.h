/* Moves a program to the group's bases before its first instruction. */
#ifndef KSMRUN_RELOCATE_H
#define KSMRUN_RELOCATE_H

#include <stdbool.h>

#include "bases.h"
#include "image.h"
#include "low.h"

/* Changes to the process before its exec, to be undone after it. */
struct arranged {
    unsigned long personality;
    uint64_t stack_soft_bytes, stack_hard_bytes;
};

/* Maximum distances: of the loader and similar below the top of the mmap area; and above the stack,
 * of what older kernels put there. */
static const uint64_t RELOCATE_LOADER_BYTES = (uint64_t)4 << 30, RELOCATE_ABOVE = 4 << 20;

/* Addresses to move a program to. */
struct destination {
    uint64_t program, brk;
    struct low low;
};

struct destination destination_of(const struct image *image, const struct machine *machine,
                                  const struct bases *bases);

/* arranged is NULL if nothing was arranged. Returns NULL, or what failed: the program must then be
 * killed, because it is partly moved. */
const char *relocate(struct injection *injection, const struct machine *machine,
                     const struct image *image, const struct destination *destination,
                     const struct bases *bases, const struct arranged *arranged);

#endif
