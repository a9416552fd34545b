/* The gap that the kernel keeps below a stack: 256 pages, or what its command line says
 * (stack_guard_gap=), which nothing tells but what mmap(2) does. */
#ifndef KSMRUN_GAP_H
#define KSMRUN_GAP_H

#include <stdint.h>

/* Returns bytes; usual_bytes where it cannot be found out. */
uint64_t gap_here(uint64_t page_bytes, uint64_t usual_bytes);

#endif
