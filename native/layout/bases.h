/* Where a group's programs have their parts: a secret that follows from the group's key. Pure. */
#ifndef KSMRUN_BASES_H
#define KSMRUN_BASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

enum { KEY_BYTES = 32 };

/* All but the last are page-aligned. Program, mmap area, brk, and the stack with its offset have at
 * least 28 bits each that only the key tells, in programs and libraries whose segments are aligned
 * as the machine's linkers do it. */
struct bases {
    uint64_t mmap_top;
    uint64_t reserve_end; /* what lies from mmap_top to here is to be reserved; 0: nothing is */
    uint64_t program;
    uint64_t brk_offset; /* from the end of the program */
    /* For programs at fixed low addresses, some of which keep pointers in 32 bits: a GiB, as the
     * kernel has it (arch/x86/kernel/process.c, mm/util.c: arch_randomize_brk). */
    uint64_t brk_low_offset;
    /* To be closed at the start of the window of MAP_32BIT: 2^13 numbers, as many as the kernel's
     * places there; more would take room that programs need. */
    uint64_t low_bytes;
    uint64_t stack_top;
    uint64_t stack_offset; /* of the initial stack pointer below a boundary of 64 KiB */
};

/* Whether the machine's address space has room for so many bits. */
bool bases_have_room(const struct machine *machine);

/* Of the program whose identity is given. The mmap area does not depend on it, as it is placed
 * before the exec tells which program it is for. */
struct bases bases_by_limit(const struct machine *machine, const unsigned char key[KEY_BYTES],
                            const void *identity, size_t identity_bytes);

/* Where an exec under this soft stack limit may put the top of the mmap area at most. */
uint64_t bases_mmap_highest(const struct machine *machine, uint64_t stack_soft_bytes);

/* Whether there is room below that for a mmap area of the group's. */
bool bases_can_reserve(const struct machine *machine, uint64_t stack_soft_bytes);

/* The same for a program that an exec with the kernel's own layout left. The mmap area lies lower
 * than it can be there, and nothing that could be given out lies above: not beside the stack
 * either. */
struct bases bases_by_reservation(const struct machine *machine, const unsigned char key[KEY_BYTES],
                                  const void *identity, size_t identity_bytes,
                                  uint64_t stack_soft_bytes);

#endif
