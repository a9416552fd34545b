/* --layout=shared: one secret address layout for the programs of a group.
 *
 * A helper that is nobody's child seizes this process, which becomes the program. At the exec,
 * before the program's first instruction, the helper moves the program's parts, releases it and
 * ends. Until the exec everything can be undone; from the first move on the program either starts
 * moved, or is killed. */
#ifndef KSMRUN_LAYOUT_H
#define KSMRUN_LAYOUT_H

#include <stdbool.h>

#include "bases.h"
#include "helper.h"
#include "reason.h"

struct layout_request {
    const char *command; /* for messages, and to examine its file */
    enum scope scope;
    bool shares_go_random; /* of static Go programs; see go.h */
    bool has_domain;       /* the helper must not be taken for a merging program */
    bool require, quiet;   /* for what is found out after the exec */
};

/* Makes the next exec of this process use the layout. Returns 0, or -1 with the reason: then
 * nothing has changed, and the exec gets the kernel's own layout. */
int layout_begin(const struct layout_request *request, const unsigned char key[KEY_BYTES],
                 char reason[REASON_BYTES]);

#endif
