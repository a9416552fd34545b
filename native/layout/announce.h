/* Tells profilers where a moved program's code is now. */
#ifndef KSMRUN_ANNOUNCE_H
#define KSMRUN_ANNOUNCE_H

#include <stdbool.h>

#include "image.h"

/* For the program that image describes, moved by delta. Uses a few bytes of its stack at scratch,
 * and leaves them zero. Where a security policy refuses, all is as before, and profilers do not
 * know. Returns whether the program's code is still whole. */
bool announce_code(struct injection *injection, const struct image *image, uint64_t delta,
                   uint64_t scratch);

#endif
