/* Checks a moved program again, from what the kernel reports: whatever a filter, a mapping or a
 * kernel did to the calls that moved it, it must not run at addresses that others know. */
#ifndef KSMRUN_CHECK_H
#define KSMRUN_CHECK_H

#include "move_parts.h"

/* Places that the kernel gives for the program's next requests; 0: none. */
struct next_places {
    uint64_t mmap, low;
};

/* Pure. Returns NULL, or what is not where the group has it. */
const char *check_image(const struct image *moved, const struct next_places *next,
                        const struct machine *machine, const struct bases *bases,
                        const struct destination *destination);

/* Reads the moved program, requests a page wherever the kernel places one, and checks what was to
 * be restored. Returns NULL, or what is wrong. */
const char *check_moved(struct injection *injection, const struct machine *machine,
                        const struct bases *bases, const struct destination *destination,
                        const struct arranged *arranged);

#endif
