/* Whether the parts of a program have room to move: none may land on another. Pure. */
#ifndef KSMRUN_ROOM_H
#define KSMRUN_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "image.h"

/* Each to a place that those before it have left: aarch64 may have put a program where a
 * reservation puts the mmap area. */
static const enum image_part ROOM_ORDER[IMAGE_PARTS] = {PART_PROGRAM, PART_KERNELS, PART_LOADER,
                                                        PART_STACK};

/* Returns whether the parts, moved one after the other, land on nothing but what has been moved
 * away before, or is itself moved. */
bool room_is_free(const struct image *image, const uint64_t deltas[IMAGE_PARTS]);

/* Returns a free place for a part on its way to one that overlaps its old one. */
uint64_t room_to_hop(const struct image *image, const uint64_t deltas[IMAGE_PARTS],
                     enum image_part part);

#endif
