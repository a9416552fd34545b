/* The gap that the kernel keeps below a stack: 256 pages, or the value on its command line
 * (stack_guard_gap=), which shows only in mmap(2)'s results. */
#ifndef KSMRUN_GAP_H
#define KSMRUN_GAP_H

#include <stdint.h>

/* Returns bytes; usual_bytes if it cannot be determined. */
uint64_t gap_here(uint64_t page_bytes, uint64_t usual_bytes);

#endif
