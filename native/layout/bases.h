/* Addresses of the parts of a group's programs: secrets derived from the group's key. Pure. */
#ifndef KSMRUN_BASES_H
#define KSMRUN_BASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

enum { KEY_BYTES = 32 };

/* All but the last are page-aligned. Program, mmap area, brk, and the stack with its offset have at
 * least 28 bits each that only the key determines, in programs and libraries whose segments have
 * the linker's default alignment. In programs of 32 bits these are 17, 17 and 13 bits, and 11 for
 * the end of the stack. */
struct bases {
    uint64_t mmap_top;
    uint64_t reserve_end; /* from mmap_top to here is to be reserved; 0: nothing is */
    uint64_t program;
    uint64_t brk_offset; /* relative to the end of the program */
    /* For programs at fixed low addresses, some of which keep pointers in 32 bits: up to 1 GiB, as
     * in the kernel (arch/x86/kernel/process.c, mm/util.c: arch_randomize_brk). */
    uint64_t brk_low_offset;
    /* To be closed at the start of the MAP_32BIT window: 2^13 values, as many as the kernel has
     * places there; more would take space that programs need. */
    uint64_t low_bytes;
    uint64_t stack_top;
    uint64_t stack_offset; /* of the initial stack pointer below a 64 KiB boundary */
};

/* Returns whether the machine's address space is large enough for that many bits. */
bool bases_have_room(const struct machine *machine);

/* Bases of the program with this identity. The mmap area does not depend on it, because it is
 * placed before the exec shows which program it is for. */
struct bases bases_by_limit(const struct machine *machine, const unsigned char key[KEY_BYTES],
                            const void *identity, size_t identity_bytes);

/* Highest possible top of the mmap area after an exec under this soft stack limit. */
uint64_t bases_mmap_highest(const struct machine *machine, uint64_t stack_soft_bytes);

/* Returns whether a stack may grow to this limit above the mmap area, if that is placed by limit.
 */
bool bases_have_stack_room(const struct machine *machine, uint64_t stack_soft_bytes);

/* Returns whether a reservation's stack has a place that depends on the stack limit. */
bool bases_stack_needs_limit(const struct machine *machine);

/* Returns whether there is space below bases_mmap_highest for the group's mmap area. */
bool bases_can_reserve(const struct machine *machine, uint64_t stack_soft_bytes);

/* The same for a program that an exec left with the kernel's own layout. The mmap area is below the
 * kernel's lowest place for it, and nothing that could be handed out is above it or beside the
 * stack. */
struct bases bases_by_reservation(const struct machine *machine, const unsigned char key[KEY_BYTES],
                                  const void *identity, size_t identity_bytes,
                                  uint64_t stack_soft_bytes);

#endif
