/* The private anonymous pages of a process that are in memory, with their contents.
 *
 * Read through /proc/PID/mem. process_vm_readv pins what it reads, and pinning gives the process a
 * copy of its own of each page it shares by fork or by KSM (gup_must_unshare in mm/internal.h,
 * Linux 5.19): looking would undo the sharing. Neither stops the process; what is swapped out is
 * not read.
 */
#ifndef KSMRUN_WALK_H
#define KSMRUN_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmas.h"

struct page {
    uint64_t number;   /* of the page in the process */
    uint64_t frame;    /* 0 where the kernel does not tell it: CAP_SYS_ADMIN is needed */
    bool is_exclusive; /* mapped once */
    enum kind kind;
    const unsigned char *bytes; /* aligned to 8 */
};

struct walked {
    uint64_t read_pages, swapped_pages;
    uint64_t untouched_pages; /* of the frame or huge page of zeros; not read where that is told */
};

/* Returns whether to go on. */
typedef bool visit_page(void *state, const struct page *page);

/* By rising address. process: a descriptor of /proc/PID. Returns 0, -errno, -EFBIG where there is
 * far more than is resident (proc_pid_statm(5)), or -ECANCELED where the visitor ended it. */
int walk(int process, const struct vmas *vmas, uint64_t zero_frame, visit_page *visit, void *state,
         struct walked *walked);

/* 0 where it cannot be read. */
uint64_t walk_resident_pages(int process);

uint64_t page_bytes(void);

/* The number of the frame of zeros that untouched memory is read from; 0 where it is not told. */
uint64_t zero_frame(void);

#endif
