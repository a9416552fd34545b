/* Counts what the records have in common. Pure except for its memory. */
#ifndef KSMRUN_TALLY_H
#define KSMRUN_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "records.h"
#include "vmas.h"

/* Under one layout, pages of one name that differ within a process would differ too. So as many are
 * kept as the process with the most different ones has.
 *
 * Counted in frames, thus memory that is in use now. Each frame is in one of the first five. */
struct frames {
    uint64_t zero, is_unique, equal_within, equal_across, is_volatile;
    double kept; /* how many merging leaves */
};

/* Number of different contents of one process, by how many processes have them. */
struct contents {
    uint64_t distinct, in_one, in_two, in_three;
};

struct kind_tally {
    uint64_t pages, frames;
    struct frames plain, by_layout;
};

struct process_tally {
    uint64_t pages, frames; /* a frame counts for the first process that has it */
    struct contents plain, by_layout;
};

struct tally {
    struct kind_tally kinds[KINDS];
    struct process_tally *processes; /* as many as records name, zeroed */
};

/* max_page_sharing: as set for KSM. Sets the records' is_first and is_new. Returns whether there
 * was enough memory. */
bool tally_records(struct records *records, uint64_t max_page_sharing, bool with_layout,
                   struct tally *tally);

#endif
