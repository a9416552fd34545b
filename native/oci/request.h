/* What a container asks for, and who may ask for what. Pure. */
#ifndef KSMRUN_OCI_REQUEST_H
#define KSMRUN_OCI_REQUEST_H

#include <stdbool.h>

#include <yyjson/yyjson.h>

enum { GROUP_BYTES = 64 + 1, WRONG_BYTES = 128, REFUSED_BYTES = 256 };

enum mechanism { MECHANISM_AUTO, MECHANISM_PRCTL, MECHANISM_PRELOAD };

struct request {
    enum mechanism mechanism;
    bool merge, require, layout_shared, layout_tree;
    /* Whether the runtime's entry or the host's configuration chose the group: what an annotation
     * names has to be open for it. */
    bool is_group_operators;
    char group[GROUP_BYTES];
    char wrong[WRONG_BYTES];     /* the first word that is not understood; "": none */
    char refused[REFUSED_BYTES]; /* the first that is not its asker's to ask for; "": none */
};

/* Where words come from; each has the last word over those before it. */
struct asked {
    bool by_request;             /* else all are wrapped, unless they ask not to be */
    bool heeds_image;            /* by request: whether what an image may have set counts */
    yyjson_mut_val *env;         /* a list of strings */
    yyjson_mut_val *annotations; /* an object */
    /* Whether the image itself carries an annotation, so that it counts as little as env. NULL: no
     * annotation is an image's. */
    bool (*is_of_image)(const void *image, const char *key, const char *value);
    const void *image;
    const char *entry, *host; /* "merge=on,layout=shared"; NULL: nothing is said */
};

/* env and annotations may be of any type and NULL: what is none of the specification's is left
 * out. */
void request_read(const struct asked *asked, struct request *request);

#endif
