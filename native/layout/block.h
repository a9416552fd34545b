/* What an exec puts at the start of the stack: argc, argv, NULL, environment, NULL, auxiliary
 * vector, AT_NULL and a word (psABI of x86-64, 3.4.1, and of i386, 2.3.1). */
#ifndef KSMRUN_BLOCK_H
#define KSMRUN_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../inject/inject.h"

struct block {
    uint64_t *words; /* must be freed */
    size_t word_bytes;
    size_t count, auxv, auxv_count; /* in words */
};

/* Finds it in the tracee from the stack pointer on, before the end of the stack. */
bool block_read(struct block *block, const struct injection *injection, uint64_t stack_end);

uint64_t block_bytes(const struct block *block);

/* Writes it to an address, and zeros to where it was before. */
bool block_write(const struct block *block, const struct injection *injection, uint64_t before,
                 uint64_t address);

#endif
