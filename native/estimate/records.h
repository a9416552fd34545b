/* What is kept of each page: 32 bytes, and with the table of tally.c 62 at most. */
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
    /* The frame's number; above 2^54 one of our own, where the kernel does not tell it. */
    uint64_t frame : FRAME_BITS, kind : 3, is_first : 1, is_new : 1, is_zero : 1, is_volatile : 1;
    uint64_t page : PAGE_BITS, process : PROCESS_BITS; /* the page's number in the process */
};

struct records {
    struct record *items;
    size_t count, capacity;
};

/* Grows by moving page tables, not bytes. Returns whether there was memory for it. */
bool records_add(struct records *records, struct record record);

#endif
