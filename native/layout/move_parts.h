/* Moves a program to the group's bases before its first instruction. */
#ifndef KSMRUN_MOVE_PARTS_H
#define KSMRUN_MOVE_PARTS_H

#include <stdbool.h>

#include "bases.h"
#include "image.h"
#include "low.h"

/* Changes to the process before its exec, to be undone after it. */
struct arranged {
    unsigned long personality;
    uint64_t stack_soft_bytes, stack_hard_bytes;
};

/* Maximum distance above the stack of what older kernels put there. */
static const uint64_t MOVE_ABOVE_BYTES_MAX = 4 << 20;

/* Addresses to move a program to. */
struct destination {
    uint64_t program, brk;
    uint64_t deltas[IMAGE_PARTS]; /* by which each part moves; 0: it stays */
    struct low low;
};

struct destination destination_of(const struct image *image, const struct machine *machine,
                                  const struct bases *bases);

/* arranged is NULL if nothing was arranged. Returns NULL, or what failed: the program must then be
 * killed, because it is partly moved. */
const char *move_parts(struct injection *injection, const struct machine *machine,
                       const struct image *image, const struct destination *destination,
                       const struct bases *bases, const struct arranged *arranged);

#endif
