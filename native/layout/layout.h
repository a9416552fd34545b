/* --layout=shared: one secret address layout for the programs of a group.
 *
 * A helper that is nobody's child seizes this process, which becomes the program; at the exec,
 * before the program's first instruction, the helper moves its parts, lets go and ends. Until the
 * exec all can be undone; from the first move on the program either starts moved, or is killed. */
#ifndef KSMRUN_LAYOUT_H
#define KSMRUN_LAYOUT_H

#include <stdbool.h>

#include "bases.h"
#include "mover.h"
#include "reason.h"

struct layout_request {
    const char *command; /* for messages, and to look at its file */
    enum scope scope;
    bool require, quiet; /* of what is found out after the exec */
};

/* Makes the next exec of this process take the layout. Returns 0, or -1 with the reason: then
 * everything is as it was, and the exec gets the kernel's own layout. */
int layout_begin(const struct layout_request *request, const unsigned char key[KEY_BYTES],
                 char reason[REASON_BYTES]);

#endif
