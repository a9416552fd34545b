/* Examines processes: hashes their pages into records. */
#ifndef KSMRUN_LOOK_H
#define KSMRUN_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pointers.h"
#include "records.h"
#include "walk.h"

enum { SECRET_BYTES = 192 };

struct process {
    pid_t pid;
    int folder;        /* descriptor of /proc/PID: stays this process, even if its PID is reused */
    int result;        /* 0 or -errno */
    size_t first, end; /* its records */
    uint64_t swapped_pages;
};

struct look {
    bool with_layout;
    uint64_t zero_frame;       /* see walk.h */
    uint64_t zero_frame_pages; /* mapped to it, so they use no memory */
    bool frames_are_known;
    uint64_t read_pages;
    struct records records;
    struct vmas vmas;
    struct pointers pointers;
    uint64_t *named; /* a page with pointers replaced */
    uint64_t zero_content;
    /* New for each run: otherwise pages could be made whose hashes equal a known one. */
    unsigned char secret[SECRET_BYTES];
};

/* Returns whether memory and randomness were available. */
bool look_prepare(struct look *look);

/* number: index of the process. Its result says what failed. */
void look_first(struct look *look, struct process *process, uint64_t number);

/* Marks the records whose pages have changed or gone since. */
void look_again(struct look *look, struct process *process);

#endif
