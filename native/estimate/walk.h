/* Walks the private anonymous pages of a process that are in memory, with their contents.
 *
 * Read through /proc/PID/mem. process_vm_readv pins what it reads, and pinning gives the process
 * its own copy of each page that it shares by fork or by KSM (gup_must_unshare in mm/internal.h,
 * Linux 5.19): reading would undo the sharing. Neither stops the process; swapped-out pages are not
 * read. */
#ifndef KSMRUN_WALK_H
#define KSMRUN_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmas.h"

struct page {
    uint64_t number;   /* of the page in the process */
    uint64_t frame;    /* 0 if the kernel does not show it: CAP_SYS_ADMIN is required */
    bool is_exclusive; /* mapped once */
    enum kind kind;
    const unsigned char *bytes; /* aligned to 8 */
};

struct walked {
    uint64_t read_pages, swapped_pages;
    uint64_t untouched_pages; /* of the zero frame or huge zero page; read only if not recognised */
};

/* Returns whether to continue. */
typedef bool visit_page(void *state, const struct page *page);

/* In ascending order. process: descriptor of /proc/PID. Returns 0, -errno, -EFBIG if there is far
 * more than is resident (proc_pid_statm(5)), or -ECANCELED if the visitor stopped it. */
int walk(int process, const struct vmas *vmas, uint64_t zero_frame, visit_page *visit, void *state,
         struct walked *walked);

/* Returns 0 if it cannot be read. */
uint64_t walk_resident_pages(int process);

uint64_t page_bytes(void);

/* Number of the zero frame, from which untouched memory is read; 0 if unknown. */
uint64_t zero_frame(void);

#endif
