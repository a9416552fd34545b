/* Shim on the host: before Linux 6.17 it joins the VMAs that the merge flag keeps apart. */
#ifndef KSMRUN_OCI_SHIM_H
#define KSMRUN_OCI_SHIM_H

#include <limits.h>
#include <stdbool.h>

#include "request.h"
#include "spec.h"

/* Returns whether this container needs it. If that is left open, the kernel is tested. */
bool shim_is_wanted(enum mechanism mechanism);

/* Mounts the folder beside the launcher, in which ld.so finds the shim under each $PLATFORM, and
 * musl, which does not expand it, under that literal name. Returns false if there is none. */
bool shim_bind(yyjson_mut_doc *document, const char *launcher, const struct places *places);

#endif
