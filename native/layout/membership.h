/* Finds out whether a running process has the layout of a group: computed from where its stack
 * ends, by whoever has the group's key. Nothing is stored for that, in the process or beside it. */
#ifndef KSMRUN_MEMBERSHIP_H
#define KSMRUN_MEMBERSHIP_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "bases.h"
#include "identity.h"

enum membership { MEMBER, NO_MEMBER, MEMBER_UNKNOWN };

/* The program that was looked at last: a host runs many copies of a few. Starts as {0}; belongs to
 * one key and machine. */
struct last_program {
    struct stat file;
    struct machine machine;
    struct identity identity;
    uint64_t stack_end;                /* by the stack limit */
    uint64_t reserved_end, soft_bytes; /* by a reservation, with that soft stack limit */
    bool is_known, has_room, has_reserved;
};

/* machine: of programs of this process's own kind. UNKNOWN: its maps, its file or its limits cannot
 * be read. */
enum membership membership_of(pid_t pid, const struct machine *machine,
                              const unsigned char key[KEY_BYTES], struct last_program *last);

#endif
