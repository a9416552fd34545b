/* Record of a page: 32 bytes, and with the table of tally.c at most 62. */
#ifndef KSMRUN_RECORDS_H
#define KSMRUN_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_BITS = 55,
    PAGE_BITS = 45,
    PROCESS_BITS = 19,
    PROCESSES_MAX = (1 << PROCESS_BITS) - 1
};

struct record {
    uint64_t content;   /* hash of the page */
    uint64_t by_layout; /* the same with pointers replaced */
    /* Number of the frame; above 2^54 one of our own, if the kernel does not show it. */
    uint64_t frame : FRAME_BITS, kind : 3, is_first : 1, is_new : 1, is_zero : 1, is_volatile : 1;
    uint64_t page : PAGE_BITS, process : PROCESS_BITS; /* number of the page in the process */
};

struct records {
    struct record *items;
    size_t count, capacity;
};

/* Grows by moving page tables, not bytes. Returns whether there was enough memory. */
bool records_add(struct records *records, struct record record);

#endif
