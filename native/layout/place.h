/* Moves a traced process, which stands at the end of its exec, to the group's bases. */
#ifndef KSMRUN_PLACE_H
#define KSMRUN_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "relocate.h"

struct place_request {
    pid_t pid;
    const struct machine *machine;
    const unsigned char *key;
    const struct arranged *arranged; /* NULL: the kernel's own layout, so by reservation */
    bool was_privileged;             /* user and effective user differed before the exec */
    bool is_waiting_first;           /* for this process, its child: see reap.h */
    bool require;                    /* what cannot be moved ends with exit code 125 */
};

struct placement {
    enum {
        PLACE_MOVED,
        PLACE_LEFT, /* as the exec left it */
        PLACE_ENDED,
        PLACE_HALF_MOVED, /* to be killed */
    } state;
    bool is_privileged; /* and left for that */
    const char *what;   /* that went wrong; NULL where it was moved */
    int64_t result;     /* of the system call that did, where there was one */
};

/* The process stays stopped. */
struct placement place(const struct place_request *request);

#endif
