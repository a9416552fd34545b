/* Looks at a moved program once more, as the kernel tells of it: whatever a filter, a mapping or a
 * kernel did to the calls that moved it, it must not run where others know. */
#ifndef KSMRUN_CHECK_H
#define KSMRUN_CHECK_H

#include "relocate.h"

/* Where the kernel puts what a program asks it for next; 0: it gives nothing. */
struct next_places {
    uint64_t mmap, low;
};

/* Pure. Returns NULL, or what does not lie where the group has it. */
const char *check_image(const struct image *moved, const struct next_places *next,
                        const struct bases *bases, const struct destination *destination);

/* Reads the moved program, asks for a page where the kernel gives one, and looks at what was to be
 * put back. Returns NULL, or what is not as it is to be. */
const char *check_moved(struct injection *injection, const struct bases *bases,
                        const struct destination *destination, const struct arranged *arranged);

#endif
