/* Properties of an architecture, and of the address space that its kernel provides. */
#ifndef KSMRUN_MACHINE_H
#define KSMRUN_MACHINE_H

#include <stdint.h>

/* I386: programs of 32 bits on a kernel of 64. */
enum architecture { X86_64, AARCH64, I386 };

struct machine {
    enum architecture architecture;
    uint64_t page_bytes;
    /* linkers' default alignment of segments: lower bits are fixed */
    uint64_t segment_bytes;
    int address_bits;   /* of the part of the address space that is used unless more is requested */
    uint64_t stack_top; /* end of the stack without randomisation: STACK_TOP */
    uint64_t programs;  /* lowest place where we put programs */
    uint64_t kernel_stack_bytes; /* maximum by which the kernel lowers it at random */
    uint64_t mmap_random_bytes;  /* and the mmap area */
    /* Range of MAP_32BIT, and the maximum by which its start is random; 0 if there is no such
     * flag. */
    uint64_t low_start, low_end, low_random_bytes;
    uint64_t stack_guard_gap; /* kept free by the kernel below it, in addition to its limit */
    /* Maxima of what can be moved: a program and its alignment; and the distance of the loader and
     * similar below the top of the mmap area. */
    uint64_t program_bytes_max, program_align_max, loader_bytes_max;
    uint64_t linked_end; /* programs at fixed addresses must end below it */
};

/* Pure. Any address in the initial stack shows the number of bits: the kernel randomises it by up
 * to some GiB below STACK_TOP. */
struct machine machine_of(enum architecture architecture, uint64_t page_bytes,
                          uint64_t stack_address);

/* The machine of this process. */
struct machine machine_here(void);

/* That of programs of 32 bits on the same kernel; with 0 address_bits if they have no shared
 * layout. */
struct machine machine_narrow(const struct machine *machine);

#endif
