/* Code for reap.c in a program of 32 bits. */
#ifndef KSMRUN_REAP_I386_H
#define KSMRUN_REAP_I386_H

#include <stdint.h>

/* Where the program begins, its signal mask, the child to wait for, and the signals to discard. */
struct reap_values {
    uint64_t entry, mask, child, set;
};

/* For a page at this address. */
void reap_fill_i386(unsigned char *page, uint64_t address, const struct reap_values *values);

#endif
