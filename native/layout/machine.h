/* What the layout has to know of an architecture and of the address space its kernel gives. */
#ifndef KSMRUN_MACHINE_H
#define KSMRUN_MACHINE_H

#include <stdint.h>

enum architecture { X86_64, AARCH64 };

struct machine {
    uint64_t page_bytes;
    /* What linkers align segments to unless they are told otherwise: bits below it are not free. */
    uint64_t segment_bytes;
    int address_bits;   /* of the part of the address space that is used without being asked */
    uint64_t stack_top; /* where the stack ends if nothing is randomised: STACK_TOP */
    uint64_t programs;  /* where we put programs, at least */
    uint64_t kernel_stack_bytes; /* by how much the kernel moves it down at random, at most */
    uint64_t mmap_random_bytes;  /* and the mmap area, at most */
    /* What MAP_32BIT is given out from, and by how much its start is random at most; 0 where there
     * is no such flag. */
    uint64_t low_start, low_end, low_random_bytes;
    uint64_t stack_guard_gap; /* that the kernel keeps free below it, beside its limit */
};

/* Pure. Any address in the initial stack tells the bits: the kernel randomises it by up to some GiB
 * below STACK_TOP. */
struct machine machine_of(enum architecture architecture, uint64_t page_bytes,
                          uint64_t stack_address);

/* Of this process. */
struct machine machine_here(void);

#endif
