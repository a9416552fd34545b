/* The window that MAP_32BIT is for, below 2 GiB (arch/x86/kernel/sys_x86_64.c: find_start_end).
 *
 * It is given out from its start upwards: a constant where the exec did not randomise, else one of
 * 2^13 places, another for each call. So its start is closed, by a secret number of bytes. */
#ifndef KSMRUN_LOW_H
#define KSMRUN_LOW_H

#include <stdbool.h>
#include <stdint.h>

#include "../inject/inject.h"
#include "machine.h"

struct low {
    /* Around a program that is linked to lie in the window. */
    struct {
        uint64_t start, end;
    } closed[2];
    int count;
    uint64_t next; /* where the kernel puts the first page of MAP_32BIT; 0: not known */
};

/* Of a program that lies from start to end. Pure. */
struct low low_of(const struct machine *machine, uint64_t bytes, uint64_t program_start,
                  uint64_t program_end);

/* Where a brk heap may begin at the lowest: above the program, and above what is closed over it,
 * which the heap could not grow through. */
uint64_t low_brk_base(const struct low *low, uint64_t program_end);

/* Closes it in the tracee: with hardly any memory to its name, unless that may count, as there is a
 * reservation already. Returns whether it is closed. */
bool low_close(struct injection *injection, const struct machine *machine, const struct low *low,
               bool may_count);

/* Maps pages in the tracee that nobody can touch, and KSM does not look at. */
bool reserve(struct injection *injection, uint64_t start, uint64_t end, int flags);

/* Where the kernel would put a page in the tracee that is mapped with these flags; 0: nowhere.
 * Returns false where the tracee is lost. */
bool ask_for_page(struct injection *injection, int flags, uint64_t *place);

#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

#endif
