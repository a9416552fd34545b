/* Moves a program that has not run an instruction yet to the group's bases. */
#ifndef KSMRUN_RELOCATE_H
#define KSMRUN_RELOCATE_H

#include <stdbool.h>

#include "bases.h"
#include "image.h"

/* What was done to the process before its exec, and is to be undone after it. */
struct arranged {
    unsigned long personality;
    uint64_t stack_soft_bytes, stack_hard_bytes;
};

/* arranged is NULL where nothing was. Returns NULL, or what failed: the program must be killed
 * then, as it is half moved. */
const char *relocate(struct injection *injection, const struct image *image,
                     const struct bases *bases, const struct arranged *arranged);

#endif
