/* What one shared address layout would make of a page: each word that points into the process's own
 * mappings is replaced by a name for where it points to, that holds for any randomised base.
 *
 * Exact names have the program with its heap, files, the stack and what the kernel maps: the bytes
 * from their start (the stack: to its end). In the mmap area the bases also change the order, as
 * the kernel aligns large mappings and puts small ones into the gaps. So of other anonymous memory
 * the name is the offset in the page alone; tally.c makes good what that takes away.
 *
 * What lies far from the area was put there by the program (the heaps of Go, Java and V8) and stays
 * as it is: a layout does not move it either.
 */
#ifndef KSMRUN_POINTERS_H
#define KSMRUN_POINTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmas.h"

enum { POINTERS_RECENT = 256 };

struct span {
    uint64_t start, end;
    uint64_t base, mask; /* an address is named base + (address & mask) */
};

struct window {
    uint64_t start, bytes;
};

struct pointers {
    struct span *spans; /* by address */
    size_t count, capacity;
    struct window low, high, half; /* all spans lie in these; half: 32 bits are enough for them */
    uint32_t recent[POINTERS_RECENT];
};

/* Returns whether there was memory for it. The room is used again. */
bool pointers_learn(struct pointers *pointers, const struct vmas *vmas);

/* Copies the words of a page, pointers replaced. */
void pointers_replace(struct pointers *pointers, const uint64_t *words, uint64_t *named,
                      size_t count);

#endif
