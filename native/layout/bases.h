/* Where a group's programs have their parts: a secret that follows from the group's key. Pure. */
#ifndef KSMRUN_BASES_H
#define KSMRUN_BASES_H

#include <stddef.h>
#include <stdint.h>

enum { KEY_BYTES = 32 };

/* All but the last are page-aligned. Program, mmap area, brk, and the stack with its offset have at
 * least 28 bits each that only the key tells. */
struct bases {
    uint64_t mmap_top;
    uint64_t reserve_end; /* what lies from mmap_top to here is to be reserved; 0: nothing is */
    uint64_t program;
    uint64_t brk_offset; /* from the end of the program */
    /* For programs at fixed low addresses, some of which keep pointers in 32 bits: a GiB, as the
     * kernel has it (arch/x86/kernel/process.c: arch_randomize_brk). */
    uint64_t brk_low_offset;
    uint64_t stack_top;
    uint64_t stack_offset; /* of the initial stack pointer below a boundary of 64 KiB */
};

/* Of the program whose identity is given. The mmap area does not depend on it, as it is placed
 * before the exec tells which program it is for. */
struct bases bases_by_limit(const unsigned char key[KEY_BYTES], const void *identity,
                            size_t identity_bytes);

/* Where an exec under this soft stack limit may put the top of the mmap area at most. */
uint64_t bases_mmap_highest(uint64_t stack_soft_bytes);

/* The same for a program that an exec with the kernel's own layout left: the mmap area lies lower
 * than that can be, and the stack within the kernel's window, as free memory above it would be
 * given out first. */
struct bases bases_by_reservation(const unsigned char key[KEY_BYTES], const void *identity,
                                  size_t identity_bytes, uint64_t stack_soft_bytes);

#endif
