/* What a container asks for. */
#ifndef KSMRUN_OCI_REQUEST_H
#define KSMRUN_OCI_REQUEST_H

#include <stdbool.h>

#include <yyjson/yyjson.h>

enum { GROUP_BYTES = 64 + 1, WRONG_BYTES = 128 };

enum mechanism { MECHANISM_AUTO, MECHANISM_PRCTL, MECHANISM_PRELOAD };

struct request {
    enum mechanism mechanism;
    bool merge, require, layout_shared;
    char group[GROUP_BYTES];
    char wrong[WRONG_BYTES]; /* the first word that is not understood; "": none */
};

/* Where all are wrapped: unless it asks not to be. By request: if it asks for anything. annotations
 * is an object and env a list of strings, as the specification has them; either may be NULL, and
 * others are left out. */
void request_read(bool by_request, yyjson_mut_val *annotations, yyjson_mut_val *env,
                  struct request *request);

#endif
