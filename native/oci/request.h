/* Requests of a container, and who may ask for what. Pure. */
#ifndef KSMRUN_OCI_REQUEST_H
#define KSMRUN_OCI_REQUEST_H

#include <stdbool.h>

#include <yyjson/yyjson.h>

#include "../common/trust.h"
#include "runtime_flags.h"

enum { GROUP_BYTES = 64 + 1, WRONG_BYTES = 128, REFUSED_BYTES = 256 };

enum mechanism { MECHANISM_AUTO, MECHANISM_PRCTL, MECHANISM_PRELOAD };

struct request {
    enum mechanism mechanism;
    enum runtime_flags runtime_flags;
    bool merge, require, exclude_secrets, layout_shared, layout_tree;
    /* True if the runtime's entry or the host's configuration chose the group; a group named by an
     * annotation must be open for it. */
    bool is_group_operators;
    bool is_domain_operators;  /* the same for the domain */
    bool is_domain_images;     /* an image or its environment chose it, which may choose none */
    bool is_domain_wrong;      /* what was named cannot be a domain */
    char domain[DOMAIN_BYTES]; /* "": none */
    char group[GROUP_BYTES];
    char wrong[WRONG_BYTES];     /* first word that is not understood; "": none */
    char refused[REFUSED_BYTES]; /* first word that its source may not ask for; "": none */
};

/* Sources of words; each overrides those before it. */
struct asked {
    bool by_request;             /* else all are wrapped, unless they refuse */
    bool heeds_image;            /* by request: settings that an image may have made count */
    yyjson_mut_val *env;         /* a list of strings */
    yyjson_mut_val *annotations; /* an object */
    /* True if the image itself carries an annotation, so that it counts no more than env. NULL:
     * none does. */
    bool (*is_of_image)(const void *image, const char *key, const char *value);
    const void *image;
    const char *entry, *host; /* "merge=on,layout=shared"; NULL: nothing is set */
};

/* env and annotations may be NULL or of any type: what violates the specification is ignored. */
void request_read(const struct asked *asked, struct request *request);

#endif
