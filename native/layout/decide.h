/* Decides whether a traced process, which is stopped at the end of its exec, can be moved to the
 * group's bases, and has it moved or leaves it. */
#ifndef KSMRUN_DECIDE_H
#define KSMRUN_DECIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "move_parts.h"

struct move_request {
    pid_t pid;
    const char *file;                       /* of its program, where it can be read */
    const struct machine *machine, *narrow; /* the second for programs of 32 bits */
    const unsigned char *key;
    const struct arranged *arranged; /* NULL: the kernel's own layout, so by reservation */
    bool was_privileged;             /* user and effective user differed before the exec */
    bool is_waiting_first;           /* by its parent, this process's child: see reap.h */
    bool shares_go_random;           /* of static Go programs */
    bool require;                    /* if it cannot be moved, end it with exit code 125 */
};

struct move_outcome {
    enum {
        OUTCOME_MOVED,
        OUTCOME_LEFT, /* as the exec left it */
        OUTCOME_ENDED,
        OUTCOME_HALF_MOVED, /* must be killed */
    } state;
    bool is_privileged; /* and was left as it is for that */
    const char *what;   /* error; NULL if it was moved */
    int64_t result;     /* of the system call that failed, if one did */
};

/* The process stays stopped. */
struct move_outcome decide_and_move(const struct move_request *request);

#endif
