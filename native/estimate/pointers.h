/* Content of a page under one shared address layout: each word that points into the process's own
 * mappings is replaced by a name for its target that holds for any randomised base.
 *
 * Exact names exist for the program with its heap, files, the stack and the kernel's mappings:
 * bytes from their start (for the stack, to its end). In the mmap area the bases also change the
 * order, as the kernel aligns large mappings and puts small ones into the gaps. So for other
 * anonymous memory the name is only the offset in the page; tally.c corrects for what that loses.
 *
 * What is far from the area was put there by the program (the heaps of Go, Java and V8) and stays
 * as it is: a layout does not move it either. */
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
    struct window low, high, half; /* all spans are in these; half: 32 bits suffice for them */
    uint32_t recent[POINTERS_RECENT];
};

/* Returns whether there was enough memory. Reuses its buffers. */
bool pointers_learn(struct pointers *pointers, const struct vmas *vmas);

/* Copies the words of a page, with pointers replaced. */
void pointers_replace(struct pointers *pointers, const uint64_t *words, uint64_t *named,
                      size_t count);

#endif
