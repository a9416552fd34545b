/* The MAP_32BIT window, below 2 GiB (arch/x86/kernel/sys_x86_64.c: find_start_end).
 *
 * It is handed out from its start upwards: a constant if the exec did not randomise, else one of
 * 2^13 places, a new one for each call. So its start is closed, by a secret number of bytes. */
#ifndef KSMRUN_LOW_H
#define KSMRUN_LOW_H

#include <stdbool.h>
#include <stdint.h>

#include "../inject/inject.h"
#include "machine.h"

struct low {
    /* Around a program that is linked to be in the window. */
    struct {
        uint64_t start, end;
    } closed[2];
    int count;
    uint64_t next; /* where the kernel puts the first page of MAP_32BIT; 0: unknown */
};

/* Ranges for a program from start to end. Pure. */
struct low low_of(const struct machine *machine, uint64_t bytes, uint64_t program_start,
                  uint64_t program_end);

/* Lowest possible start of a brk heap: above the program, and above what is closed after it,
 * through which the heap could not grow. */
uint64_t low_brk_base(const struct low *low, uint64_t program_end);

/* Closes it in the tracee: by gaps below stacks, which hardly count against limits, or, if
 * may_count, by a reservation. Returns whether it is closed. */
bool low_close(struct injection *injection, const struct machine *machine, const struct low *low,
               bool may_count);

/* Maps inaccessible pages in the tracee, which KSM does not scan. */
bool reserve(struct injection *injection, uint64_t start, uint64_t end, int flags);

/* Finds where the kernel would map a page in the tracee with these flags; 0: nowhere. Returns false
 * if the tracee is lost. */
bool ask_for_page(struct injection *injection, int flags, uint64_t *place);

#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

#endif
